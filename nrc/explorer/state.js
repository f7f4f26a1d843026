// The page shows `state`, which is also in its address.

const state = {};
const FIRST = "relative_distance";
const MEDIAN = "median";

const cube = () => cubes[state.experiment];
const several = (of) => of.axes.filter((axis) => of.size(axis) > 1);
const extras = (of, measure) => of.variables[measure].dimensions.filter((dim) => !of.axes.includes(dim));
/** Measures that are numbers, not flags. */
const measures = (of) => Object.keys(of.variables).filter((name) => !(name in of.flags));
const overSeeds = () => state.seeds === MEDIAN && ![state.x, state.y].includes("seed");

/** Set the state to a request, and to defaults where the request is empty or cannot be met. */
async function enter(request) {
  const known = EXPERIMENTS.includes(request.experiment);
  const of = await cubeOf(known ? request.experiment : EXPERIMENTS[0]);
  const one = (requested, allowed, usual) => (allowed.includes(requested) ? requested : usual);
  const axes = several(of);
  const usual = ["sigma", "width", "depth", "seed", "weight_decay"].filter((axis) => axes.includes(axis));
  state.experiment = of.name;
  state.measure = one(request.measure, measures(of), of.variables[FIRST] ? FIRST : measures(of)[0]);
  state.y = one(request.y, axes, axes[0] ?? "weight_decay");
  state.x = one(
    request.x === state.y ? null : request.x,
    axes,
    usual.find((axis) => axis !== state.y) ?? (state.y === "sigma" ? "weight_decay" : "sigma"),
  );
  state.seeds = of.size("seed") > 1 && request.seeds === MEDIAN ? MEDIAN : "one";
  state.scale = one(request.scale, ["linear", "log"], "usual");
  state.cell = (request.cell && of.place(request.cell)) || middle(of);
  state.picks = Object.fromEntries(
    ["layer", "source", "index", "snapshot"]
      .filter((dim) => of.dimensions[dim])
      .map((dim) => [dim, picked(of, dim, request[dim])]),
  );
  const [, pinned, cell] = /^([^/]*)\/(.*)$/.exec(request.pin ?? "") ?? [];
  const place = EXPERIMENTS.includes(pinned) ? (await cubeOf(pinned)).place(cell) : null;
  state.pin = place ? { experiment: pinned, cell: place } : null;
  const absent = [
    request.experiment && !known && `experiment ${request.experiment}`,
    request.cell && !of.place(request.cell) && `network ${request.cell}`,
    request.pin && !place && `network ${request.pin}`,
  ].filter(Boolean);
  fault(absent.length ? `The address asks for what this page does not contain: ${absent.join("; ")}.` : "");
}

function middle(of) {
  return Object.fromEntries(of.axes.map((axis) => [axis, axis === "seed" ? 0 : (of.size(axis) - 1) >> 1]));
}

/** Index of a requested value on a dimension. */
function picked(of, dim, requested) {
  if (dim === "source" && (requested ?? SMALLEST) === SMALLEST) return SMALLEST;
  const at = of.dimensions[dim].values.indexOf(requested);
  if (at >= 0) return at;
  const clusters = of.dimensions[dim].values.indexOf(String(of.attributes.clusters));
  return { snapshot: of.size(dim) - 1, index: Math.max(0, clusters) }[dim] ?? 0;
}

/** The picks, where for a measure of one feature space the input of the layer replaces the smallest over sources. */
function choice() {
  const alone = state.picks.source === SMALLEST && !cube().has(state.measure, "layer");
  return alone ? { ...state.picks, source: Math.min(state.picks.layer, cube().size("source") - 1) } : state.picks;
}

/** The state as a request. */
function requested() {
  const of = cube();
  const value = ([dim, at]) => [dim, at === SMALLEST ? SMALLEST : of.dimensions[dim].values[at]];
  return {
    ...{ experiment: state.experiment, measure: state.measure, x: state.x, y: state.y },
    ...{ seeds: state.seeds, scale: state.scale, cell: of.path(state.cell) },
    ...Object.fromEntries(Object.entries(state.picks).map(value)),
    ...(state.pin && { pin: `${state.pin.experiment}/${cubes[state.pin.experiment].path(state.pin.cell)}` }),
  };
}

function remember() {
  const text = new URLSearchParams(requested()).toString().replaceAll("%2F", "/").replaceAll("%7E", "~");
  history.replaceState(null, "", `#${text}`);
}

/** Change the state in some keys and draw the page; in another experiment choose the most similar network. */
async function change(keys) {
  const { experiment } = keys;
  const cell = experiment && { cell: nearest(await cubeOf(experiment), cube(), state.cell) };
  await enter({ ...requested(), ...keys, ...cell });
  show();
}

/** Path of the network whose values on all axes are nearest to the values of a place in another cube. */
function nearest(of, other, place) {
  const index = (axis) => {
    const value = Number(other.dimensions[axis].values[place[axis]]);
    const far = of.dimensions[axis].values.map((text) => distance(Number(text), value));
    return far.indexOf(Math.min(...far));
  };
  return of.path(Object.fromEntries(of.axes.map((axis) => [axis, index(axis)])));
}

/** Positive values differ by their ratio, others by their difference. */
const distance = (one, other) => Math.abs(one > 0 && other > 0 ? Math.log(one / other) : one - other);
