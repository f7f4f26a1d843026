// What is shown follows from `state`, which the address keeps.

const state = {};
const FIRST = "relative_distance";
const MEDIAN = "median";

const cube = () => cubes[state.experiment];
const several = (of) => of.axes.filter((axis) => of.size(axis) > 1);
const extras = (of, measure) => of.variables[measure].dimensions.filter((dim) => !of.axes.includes(dim));
/** Measures of a network that are numbers and no flags. */
const measures = (of) => Object.keys(of.variables).filter((name) => !(name in of.flags));
const overSeeds = () => state.seeds === MEDIAN && ![state.x, state.y].includes("seed");

/** Take over what is wished where it can be, and what is usual elsewhere. */
async function enter(wish) {
  const known = EXPERIMENTS.includes(wish.experiment);
  const of = await cubeOf(known ? wish.experiment : EXPERIMENTS[0]);
  const one = (wished, allowed, usual) => (allowed.includes(wished) ? wished : usual);
  const axes = several(of);
  const usual = ["sigma", "width", "depth", "seed", "weight_decay"].filter((axis) => axes.includes(axis));
  state.experiment = of.name;
  state.measure = one(wish.measure, measures(of), of.variables[FIRST] ? FIRST : measures(of)[0]);
  state.y = one(wish.y, axes, axes[0] ?? "weight_decay");
  state.x = one(
    wish.x === state.y ? null : wish.x,
    axes,
    usual.find((axis) => axis !== state.y) ?? (state.y === "sigma" ? "weight_decay" : "sigma"),
  );
  state.seeds = of.size("seed") > 1 && wish.seeds === MEDIAN ? MEDIAN : "one";
  state.scale = one(wish.scale, ["linear", "log"], "usual");
  state.cell = (wish.cell && of.place(wish.cell)) || middle(of);
  state.picks = Object.fromEntries(
    ["layer", "source", "index", "snapshot"]
      .filter((dim) => of.dimensions[dim])
      .map((dim) => [dim, picked(of, dim, wish[dim])]),
  );
  const [, pinned, cell] = /^([^/]*)\/(.*)$/.exec(wish.pin ?? "") ?? [];
  const place = EXPERIMENTS.includes(pinned) ? (await cubeOf(pinned)).place(cell) : null;
  state.pin = place ? { experiment: pinned, cell: place } : null;
  const lost = [
    [wish.experiment && !known, `experiment ${wish.experiment}`],
    [wish.cell && !of.place(wish.cell), `network ${wish.cell}`],
    [wish.pin && !place, `network ${wish.pin}`],
  ].filter(([is]) => is);
  fault(lost.length ? `The address asks for what is not here: ${lost.map(([, what]) => what).join("; ")}.` : "");
}

function middle(of) {
  return Object.fromEntries(of.axes.map((axis) => [axis, axis === "seed" ? 0 : (of.size(axis) - 1) >> 1]));
}

/** Index of a value wished for on a dimension. */
function picked(of, dim, wished) {
  if (dim === "source" && (wished ?? LEAST) === LEAST) return LEAST;
  const at = of.dimensions[dim].values.indexOf(wished);
  if (at >= 0) return at;
  const clusters = of.dimensions[dim].values.indexOf(String(of.attributes.clusters));
  return { snapshot: of.size(dim) - 1, index: Math.max(0, clusters) }[dim] ?? 0;
}

/** Features of one layer alone have no least over sources: the layer's own input stands for it. */
function choice() {
  const alone = state.picks.source === LEAST && !cube().has(state.measure, "layer");
  return alone ? { ...state.picks, source: Math.min(state.picks.layer, cube().size("source") - 1) } : state.picks;
}

function wishes() {
  const of = cube();
  const picks = Object.entries(state.picks).map(([dim, at]) => [
    dim,
    at === LEAST ? LEAST : of.dimensions[dim].values[at],
  ]);
  return {
    ...{ experiment: state.experiment, measure: state.measure, x: state.x, y: state.y },
    ...{ seeds: state.seeds, scale: state.scale, ...Object.fromEntries(picks), cell: of.path(state.cell) },
    ...(state.pin && { pin: `${state.pin.experiment}/${cubes[state.pin.experiment].path(state.pin.cell)}` }),
  };
}

function remember() {
  const text = new URLSearchParams(wishes()).toString().replaceAll("%2F", "/").replaceAll("%7E", "~");
  history.replaceState(null, "", `#${text}`);
}

/** Change some wishes and show all anew: in another experiment the network most like the one before. */
async function wish(changes) {
  const { experiment } = changes;
  const cell = experiment && { cell: nearest(await cubeOf(experiment), cube(), state.cell) };
  await enter({ ...wishes(), ...changes, ...cell });
  show();
}

/** Path of the network of a cube whose values on all axes are nearest to those of a place in another. */
function nearest(of, other, place) {
  const index = (axis) => {
    const value = Number(other.dimensions[axis].values[place[axis]]);
    const far = of.dimensions[axis].values.map((text) => distance(Number(text), value));
    return far.indexOf(Math.min(...far));
  };
  return of.path(Object.fromEntries(of.axes.map((axis) => [axis, index(axis)])));
}

/** By factors, but from 0 by difference. */
const distance = (one, other) => Math.abs(one > 0 && other > 0 ? Math.log(one / other) : one - other);
