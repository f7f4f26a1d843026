"use strict";
// A plane of networks, and beside it the network that is chosen. All that is shown follows from `state`,
// which the address keeps.

const ABOUT = JSON.parse(document.getElementById("about").textContent);
const EXPERIMENTS = Object.keys(ABOUT);
const state = {};
const cubes = {};

// Okabe & Ito's colours; what differs by colour differs by shape or line too.
const CHOSEN = { color: "#0072B2", symbol: "circle", dash: "solid" };
const PINNED = { color: "#D55E00", symbol: "diamond-open", dash: "dash" };
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down"];
const DASHES = ["solid", "dot", "dash", "longdash", "dashdot", "longdashdot"];
const MAP = "Viridis";
const INK = "#222";
const FONT = getComputedStyle(document.body).fontFamily;

// How a network ended: its mark on the plane, and in words.
const ENDS = {
  stopped: { symbol: "circle", size: 8, width: 1, says: "stopped, not stationary" },
  diverged: { symbol: "triangle-up", size: 10, width: 1, says: "diverged" },
  dead: { symbol: "x-thin", size: 8, width: 1.6, says: "dead: all weights at the origin" },
};
const ICONS = {
  stopped: '<circle cx="7" cy="7" r="4.5" fill="#fff" stroke="#000"/>',
  diverged: '<path d="M7 2 12 11.5H2z" fill="#fff" stroke="#000"/>',
  dead: '<path d="m3 3 8 8m0-8-8 8" stroke="#000" stroke-width="1.6"/>',
  missing: '<path d="M0 14 14 0M0 7 7 0M7 14l7-7" stroke="#999"/>',
  chosen: '<rect x="1.5" y="1.5" width="11" height="11" fill="none" stroke="#0072B2" stroke-width="3"/>',
  pinned:
    '<rect x="1.5" y="1.5" width="11" height="11" fill="none" stroke="#D55E00" stroke-width="3" stroke-dasharray="3 2"/>',
};
const REASONS = {
  tolerance: "reached the tolerance",
  origin: "the weights went to the origin",
  passes: "spent its passes",
  wall_clock: "spent its time",
  no_descent: "found no descent",
  diverged: "diverged",
};
// Figures draw these on a linear scale, however small some are.
const LINEAR = ["relative_distance"];
const FIRST = "relative_distance";
const MEDIAN = "median";
const LEAST = "least";

const node = (id) => document.getElementById(id);
const range = (count) => Array.from({ length: count }, (_, i) => i);
const words = (name) => name.replaceAll("_", " ");

// ---------------------------------------------------------------- the numbers

/** The bytes of an embedded file. */
async function unpacked(id) {
  const packed = Uint8Array.from(atob(node(id).textContent.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

/** The measures of an experiment. A place gives an index to each dimension. */
class Cube {
  constructor(name, buffer) {
    Object.assign(this, ABOUT[name], { name });
    this.arrays = {};
    let at = 0;
    for (const [variable, { dimensions }] of Object.entries(this.variables)) {
      const size = dimensions.reduce((product, dim) => product * this.size(dim), 1);
      this.arrays[variable] = new Float32Array(buffer, at, size);
      at += 4 * size;
    }
  }

  size(dim) {
    return this.dimensions[dim].values.length;
  }

  has(variable, dim) {
    return this.variables[variable]?.dimensions.includes(dim) ?? false;
  }

  number(variable, place) {
    if (place.source === LEAST && this.has(variable, "source")) {
      const all = this.curve(variable, place, "source").filter((value) => !isNaN(value));
      return all.length ? Math.min(...all) : NaN;
    }
    let flat = 0;
    for (const dim of this.variables[variable].dimensions) flat = flat * this.size(dim) + place[dim];
    return this.arrays[variable][flat];
  }

  curve(variable, place, dim) {
    return range(this.size(dim)).map((i) => this.number(variable, { ...place, [dim]: i }));
  }

  flag(variable, place) {
    return this.flags[variable][this.number(variable, place)] ?? "missing";
  }

  end(place) {
    return this.flag("ended", place) === "diverged" ? "diverged" : this.flag("status", place);
  }

  /** Numbers of the layers there are. */
  layers(place) {
    const depth = Number(this.dimensions.depth.values[place.depth]);
    return range(Math.min(depth, this.size("layer")));
  }

  /** The place of a network in paths, and back. */
  path(place) {
    return this.axes.map((axis) => `${axis}~${this.dimensions[axis].values[place[axis]]}`).join("/");
  }

  place(path) {
    const parts = Object.fromEntries(path.split("/").map((part) => part.split("~")));
    const place = Object.fromEntries(
      this.axes.map((axis) => [axis, this.dimensions[axis].values.indexOf(parts[axis])]),
    );
    return Object.values(place).includes(-1) ? null : place;
  }
}

async function cubeOf(name) {
  cubes[name] ??= new Cube(name, await unpacked(`cube-${EXPERIMENTS.indexOf(name)}`));
  return cubes[name];
}

function told(value, digits = 4) {
  if (isNaN(value)) return "missing";
  if (!isFinite(value)) return "beyond 32 bits";
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 24) return String(value);
  const size = Math.abs(value);
  const text = size < 1e-3 || size >= 1e6 ? value.toExponential(digits - 1) : value.toPrecision(digits);
  return text.replace(/(\.\d*?)0+(e|$)/, "$1$2").replace(/\.(e|$)/, "$1");
}

/** A value of an axis in few letters. */
const brief = (text) => (text.length > 6 ? told(Number(text), 3) : text);

function median(values) {
  const sorted = values.filter((value) => !isNaN(value)).sort((a, b) => a - b);
  const half = sorted.length >> 1;
  if (!sorted.length) return NaN;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

// ---------------------------------------------------------------- the state and the address

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

/** Change some wishes and show all anew. */
async function wish(changes) {
  await enter({ ...wishes(), ...changes });
  show();
}

// ---------------------------------------------------------------- the choices

function choices() {
  const of = cube();
  const axes = several(of);
  const form = node("choices");
  const focused = document.activeElement?.id;
  form.replaceChildren();
  const offer = (id, label, options, value, change) => {
    const select = document.createElement("select");
    select.id = `choose-${id}`;
    for (const [key, text] of options) select.add(new Option(text, key, false, key === String(value)));
    select.addEventListener("change", () => change(select.value));
    const box = document.createElement("label");
    box.append(label, select);
    form.append(box);
  };
  const named = (names) => names.map((name) => [name, words(name)]);
  const values = (dim) => of.dimensions[dim].values;

  offer("experiment", "experiment", named(EXPERIMENTS), of.name, (experiment) => wish({ experiment }));
  offer("measure", "measure", named(measures(of)), state.measure, (measure) => wish({ measure }));
  for (const dim of ["layer", "source", "index", "snapshot"]) {
    // the curves of a network are those of the layer, whatever the measure
    if (!of.dimensions[dim] || (dim !== "layer" && !extras(of, state.measure).includes(dim))) continue;
    const least = dim === "source" && of.has(state.measure, "layer") ? [[LEAST, "least over all"]] : [];
    const label = { source: "features of", index: "position", snapshot: "after passes" }[dim] ?? dim;
    const texts = values(dim).map((text) => [text, dim === "source" ? `z${text}${text === "0" ? ", inputs" : ""}` : text]);
    const at = choice()[dim];
    offer(dim, label, [...least, ...texts], at === LEAST ? LEAST : values(dim)[at], (value) => wish({ [dim]: value }));
  }
  if (axes.length > 2) {
    offer("y", "upwards", named(axes), state.y, (y) => wish({ y, ...(y === state.x && { x: state.y }) }));
    offer("x", "to the right", named(axes), state.x, (x) => wish({ x, ...(x === state.y && { y: state.x }) }));
  }
  for (const axis of axes.filter((axis) => ![state.x, state.y].includes(axis))) {
    const all = axis === "seed" ? [[MEDIAN, `median of ${of.size("seed")}`]] : [];
    const value = axis === "seed" && overSeeds() ? MEDIAN : values(axis)[state.cell[axis]];
    const options = [...all, ...values(axis).map((text) => [text, text])];
    offer(axis, words(axis), options, value, (chosen) => {
      if (axis === "seed") state.seeds = chosen === MEDIAN ? MEDIAN : "one";
      if (chosen !== MEDIAN) state.cell[axis] = values(axis).indexOf(chosen);
      wish({});
    });
  }
  const scales = [["linear", "linear"], ["log", "logarithmic"]];
  offer("scale", "colours", scales, plane().scale, (scale) => wish({ scale }));
  if (focused) node(focused)?.focus();
}

// ---------------------------------------------------------------- the plane

/** What stands at a place of the plane: a number, and how the networks ended. */
function square(x, y) {
  const place = { ...state.cell, ...choice(), [state.x]: x, [state.y]: y };
  const seeds = overSeeds() ? range(cube().size("seed")) : [place.seed];
  const numbers = seeds.map((seed) => cube().number(state.measure, { ...place, seed }));
  const ends = seeds.map((seed) => cube().end({ ...place, seed }));
  return { seeds, numbers, ends, number: median(numbers) };
}

/** All squares of the plane, a row each value upwards, with the scale of their colours. */
function plane() {
  const of = cube();
  const squares = range(of.size(state.y)).map((y) => range(of.size(state.x)).map((x) => square(x, y)));
  const { least, most, positive, wide } = extent();
  const usual = wide && least >= 0 && !LINEAR.includes(state.measure) ? "log" : "linear";
  const scale = state.scale === "usual" || !isFinite(positive) ? usual : state.scale;
  return { squares, scale, least, most, positive };
}

/** Least and greatest number of the measure over all layers and seeds, so that their colours compare. */
function extent() {
  const of = cube();
  const dims = of.variables[state.measure].dimensions;
  const free = dims.filter((dim) => of.axes.includes(dim) || dim === "layer");
  let places = [choice()];
  for (const dim of free) places = places.flatMap((place) => range(of.size(dim)).map((i) => ({ ...place, [dim]: i })));
  const numbers = places.map((place) => of.number(state.measure, place)).filter(isFinite).sort((a, b) => a - b);
  const positives = numbers.filter((value) => value > 0);
  const quantile = (share) => positives[Math.floor(share * (positives.length - 1))];
  return {
    least: numbers[0] ?? 0,
    most: numbers.at(-1) ?? 1,
    positive: positives[0] ?? NaN,
    wide: positives.length > 0 && quantile(0.9) > 100 * quantile(0.1),
  };
}

function hover(at, x, y) {
  const of = cube();
  const value = (axis, i) => `${of.dimensions[axis].long_name} ${of.dimensions[axis].values[i]}`;
  const each = at.seeds.map((seed, i) => {
    const text = `seed ${of.dimensions.seed.values[seed]}: ${told(at.numbers[i])}, ${at.ends[i]}`;
    return overSeeds() ? text : `${told(at.numbers[i], 7)}, ${at.ends[i]}`;
  });
  const head = overSeeds() ? [`median ${told(at.number)}`] : [];
  const name = words(state.measure) + unit(state.measure);
  return [value(state.y, y), value(state.x, x), `<b>${name}</b>`, ...head, ...each].join("<br>");
}

function unit(measure) {
  const { units } = cube().variables[measure];
  return units === "1" ? "" : ` [${units}]`;
}

function drawPlane() {
  const of = cube();
  const { squares, scale, least, most, positive } = plane();
  const log = scale === "log";
  const place = (value) => (log ? Math.log10(Math.max(value, positive)) : value);
  const ends = log ? [place(positive), place(Math.max(most, positive))] : [least, most];
  const [low, high] = ends[0] < ends[1] ? ends : [ends[0] - 0.5, ends[0] + 0.5];
  const heat = {
    ...{ type: "heatmap", colorscale: MAP, zmin: low, zmax: high, xgap: 1, ygap: 1, hoverinfo: "text" },
    z: squares.map((row) => row.map(({ number }) => (isFinite(number) ? place(number) : null))),
    text: squares.map((row, y) => row.map((at, x) => hover(at, x, y))),
    hoverlabel: { bgcolor: "#fff", bordercolor: "#888", font: { color: INK, size: 12 }, align: "left" },
    colorbar: {
      ...{ orientation: "h", thickness: 12, y: 1.01, yanchor: "bottom", ypad: 4, len: 1, xpad: 0, outlinewidth: 0 },
      ...ticks(low, high, log),
    },
  };
  const marks = marked(squares);
  const traces = Object.entries(ENDS).map(([end, { symbol, size, width }]) => ({
    ...{ type: "scatter", mode: "markers", hoverinfo: "skip", showlegend: false },
    ...{ x: marks[end].map(([x]) => x), y: marks[end].map(([, y]) => y) },
    marker: { symbol, size, color: "#fff", line: { color: "#000", width } },
  }));
  const layout = {
    ...{ margin: { l: 50, r: 12, t: 30, b: 44 }, dragmode: false, hovermode: "closest", shapes: outlines() },
    ...{ font: { family: FONT, size: 12, color: INK }, plot_bgcolor: "#fff", paper_bgcolor: "#fff" },
    xaxis: axis(state.x, Math.max(3, Math.floor(node("plane").clientWidth / 75))),
    yaxis: axis(state.y, 9),
  };
  Plotly.react("plane", [heat, hatched(marks.missing), ...traces], layout, { displayModeBar: false, responsive: true });
  legend(marks, squares.flat(), log);
}

/** Lines across the squares without a number. */
function hatched(squares) {
  const ends = [[-0.5, -0.5, 0.5, 0.5], [-0.5, 0, 0, 0.5], [0, -0.5, 0.5, 0]];
  const lines = squares.flatMap(([x, y]) => ends.map(([x0, y0, x1, y1]) => [x + x0, y + y0, x + x1, y + y1]));
  return {
    ...{ type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false, line: { color: "#999", width: 1 } },
    ...{ x: lines.flatMap(([x0, , x1]) => [x0, x1, null]), y: lines.flatMap(([, y0, , y1]) => [y0, y1, null]) },
  };
}

/** An axis of the plane: a step for each value, some of them labelled. */
function axis(name, most) {
  const { values, long_name } = cube().dimensions[name];
  const step = Math.ceil(values.length / most);
  const shown = range(values.length).filter((i) => i % step === 0);
  return {
    ...{ title: { text: long_name, standoff: 8 }, range: [-0.5, values.length - 0.5], showgrid: false, zeroline: false },
    ...{ tickvals: shown, ticktext: shown.map((i) => brief(values[i])), ticks: "outside", ticklen: 3, tickangle: 0 },
    ...{ automargin: true, fixedrange: true },
  };
}

/** Ticks of the colour bar. */
function ticks(low, high, log) {
  if (!log) return { nticks: 6 };
  const { values, texts } = decades(low, high);
  return { tickvals: values.map(Math.log10), ticktext: texts };
}

/** A few round numbers between two powers of ten, and how they are written. */
function decades(low, high) {
  const powers = range(Math.floor(high) - Math.floor(low) + 1).map((i) => Math.floor(low) + i);
  const inside = (value) => Math.log10(value) >= low - 1e-9 && Math.log10(value) <= high + 1e-9;
  const round = (steps) => powers.flatMap((power) => steps.map((step) => step * 10 ** power)).filter(inside);
  let values = round([1]);
  if (values.length > 2) {
    values = values.filter((_, i) => i % Math.ceil(values.length / 6) === 0);
    const text = (power) => (power >= -2 && power <= 3 ? told(10 ** power) : `10<sup>${power}</sup>`);
    return { values, texts: values.map((value) => text(Math.round(Math.log10(value)))) };
  }
  values = round([1, 2, 5]);
  if (values.length < 2) values = [10 ** low, 10 ** ((low + high) / 2), 10 ** high];
  return { values, texts: values.map((value) => told(value, 3)) };
}

/** The squares with each mark. */
function marked(squares) {
  const marks = { missing: [], stopped: [], diverged: [], dead: [] };
  squares.forEach((row, y) =>
    row.forEach((at, x) => {
      if (isNaN(at.number)) marks.missing.push([x, y]);
      for (const end of new Set(at.ends)) if (end !== "missing" && end in marks) marks[end].push([x, y]);
    }),
  );
  return marks;
}

function legend(marks, squares, log) {
  const networks = squares.flatMap(({ ends }) => ends);
  const item = (icon, text) => {
    const line = document.createElement("li");
    line.innerHTML = `<svg viewBox="0 0 14 14" aria-hidden="true">${ICONS[icon]}</svg>`;
    line.append(text);
    return line;
  };
  const items = [item("chosen", "chosen"), ...(state.pin ? [item("pinned", "pinned")] : [])];
  const count = (what) => networks.filter((end) => end === what).length;
  for (const end of ["stopped", "diverged", "dead"]) {
    const seed = overSeeds() ? "a seed " : "";
    if (count(end)) items.push(item(end, `${seed}${ENDS[end].says}: ${count(end)} of ${networks.length} networks`));
  }
  if (marks.missing.length) items.push(item("missing", `no number: ${marks.missing.length} of ${squares.length} squares`));
  const line = document.createElement("li");
  const zeros = log && squares.some(({ number }) => number <= 0);
  line.textContent =
    `${count("converged")} of ${networks.length} networks converged. One scale of colours for all layers and seeds.` +
    (zeros ? " What is not above 0 has the least colour." : "");
  node("legend").replaceChildren(...items, line);
}

/** Frames around the chosen and the pinned network. */
function outlines() {
  const frame = (place, line) => ({
    ...{ type: "rect", x0: place[state.x] - 0.5, x1: place[state.x] + 0.5, line },
    ...{ y0: place[state.y] - 0.5, y1: place[state.y] + 0.5 },
  });
  const both = (place, color, dash) => [
    frame(place, { color: "#fff", width: 6 }),
    frame(place, { color, width: 3, dash }),
  ];
  const { pin } = state;
  // of another experiment it may stand nowhere here
  const here = pin && cube().place(cubes[pin.experiment].path(pin.cell));
  return [...(here ? both(here, PINNED.color, "4px,2px") : []), ...both(state.cell, CHOSEN.color, "solid")];
}

// ---------------------------------------------------------------- the network

/** The chosen network and the pinned one, if it is another. */
function compared() {
  const one = { of: cube(), place: state.cell, look: CHOSEN };
  const { pin } = state;
  if (!pin) return [one];
  const other = { of: cubes[pin.experiment], place: pin.cell, look: PINNED };
  const same = other.of === one.of && other.of.path(other.place) === one.of.path(one.place);
  return same ? [one] : [one, other];
}

/** Where a network differs from those beside it, in words. */
function label({ of, place }) {
  const differs = (axis) => compared().some((other) => valueOf(other, axis) !== valueOf({ of, place }, axis));
  const axes = of.axes.filter((axis) => (compared().length > 1 ? differs(axis) : of.size(axis) > 1));
  const others = compared().some((other) => other.of !== of);
  return [...(others ? [of.name] : []), ...axes.map((axis) => `${words(axis)} ${brief(valueOf({ of, place }, axis))}`)].join(", ");
}

const valueOf = ({ of, place }, axis) => of.dimensions[axis].values[place[axis]];

function drawNetwork() {
  const networks = compared();
  node("network-title").textContent = networks.length > 1 ? "The chosen network beside the pinned one" : "The chosen network";
  actions(networks);
  facts(networks);
  absent(networks);
  commands(networks[0]);
  if (node("all-numbers").open) allNumbers();
  if (node("made-from").open) madeFrom();
  const curves = [spectrum, tail, residual, ([network]) => way(network), wcss];
  oneByOne(curves.map((curve) => () => curve(networks)));
}

let turn = 0;

/** Draw curves with a look at the screen between, until another network is chosen. */
function oneByOne(drawings) {
  const mine = ++turn;
  node("curves").setAttribute("aria-busy", "true");
  const next = () => {
    if (mine !== turn) return;
    if (drawings.length) {
      drawings.shift()();
      requestAnimationFrame(() => setTimeout(next));
    } else node("curves").setAttribute("aria-busy", "false");
  };
  next();
}

function actions(networks) {
  const of = cube();
  const button = (text, pressed, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    if (pressed !== null) made.setAttribute("aria-pressed", pressed);
    made.addEventListener("click", act);
    return made;
  };
  const pin = button(networks.length > 1 ? "Pin it instead" : "Pin it to compare", null, togglePin);
  pin.id = "pin";
  const free = button("Let go of the pinned one", null, unpin);
  free.id = "unpin";
  const parts = [...(networks.length > 1 || !state.pin ? [pin] : []), ...(state.pin ? [free] : [])];
  if (of.size("seed") > 1) {
    parts.push(Object.assign(document.createElement("span"), { textContent: "seed" }));
    of.dimensions.seed.values.forEach((seed, i) =>
      parts.push(button(seed, i === state.cell.seed, () => move({ seed: i }))),
    );
  }
  if (state.pin && networks.length === 1)
    parts.push(Object.assign(document.createElement("span"), { textContent: "pinned: now choose another" }));
  node("actions").replaceChildren(...parts);
}

/** Rows of a table with a column for each network. */
function table(target, networks, rows) {
  const row = (cells, tag, looks = []) => {
    const line = document.createElement("tr");
    cells.forEach((text, i) => {
      const cell = document.createElement(i === 0 || tag === "th" ? "th" : "td");
      if (tag === "th") cell.scope = "col";
      else if (i === 0) cell.scope = "row";
      cell.textContent = text;
      if (looks[i]) cell.className = looks[i];
      line.append(cell);
    });
    return line;
  };
  const head = document.createElement("thead");
  const body = document.createElement("tbody");
  if (networks.length > 1) head.append(row(["", "● chosen", "◇ pinned"], "th", ["", "chosen", "pinned"]));
  body.append(...rows.map((cells) => row(cells, "td")));
  target.replaceChildren(head, body);
}

// Numbers of the whole network that are told first.
const FACTS = {
  relative_residual: "relative residual",
  evaluations: "passes over the data",
  iterations: "iterations",
  loss: "loss without the penalty",
  train_accuracy: "classified right, train points",
  test_accuracy: "classified right, test points",
};

function facts(networks) {
  const of = cube();
  const numbers = (variable, digits) =>
    networks.map((network) => {
      const place = within(network.of, { ...network.place, ...choice() });
      return network.of.variables[variable] ? told(network.of.number(variable, place), digits) : "not measured";
    });
  const ended = ({ of, place }) => {
    const reason = of.flag("ended", place);
    return `${of.flag("status", place)}: ${REASONS[reason] ?? words(reason)}`;
  };
  const rows = of.axes.map((axis) => [words(axis), ...networks.map((network) => valueOf(network, axis))]);
  if (networks.some((network) => network.of !== of))
    rows.unshift(["experiment", ...networks.map((network) => network.of.name)]);
  rows.push(["ended", ...networks.map(ended)]);
  for (const [variable, name] of Object.entries(FACTS))
    if (networks.some((network) => network.of.variables[variable])) rows.push([name, ...numbers(variable)]);
  if (!FACTS[state.measure])
    rows.push([`${words(state.measure)}${whereOf(state.measure)}`, ...numbers(state.measure, 7)]);
  table(node("facts"), networks, rows);
}

/** The choices that a measure takes, in words. */
function whereOf(measure) {
  const of = cube();
  const names = { layer: "layer", source: "features z", index: "position", snapshot: "after passes" };
  const parts = extras(of, measure).map((dim) => {
    const at = choice()[dim];
    if (at === LEAST) return "least over sources";
    return dim === "source" ? `features z${of.dimensions.source.values[at]}` : `${names[dim]} ${of.dimensions[dim].values[at]}`;
  });
  return parts.length ? `, ${parts.join(", ")}` : "";
}

/** A place in another cube: beyond its end there is nothing. */
function within(of, place) {
  const inside = ([dim, at]) => at === LEAST || !of.dimensions[dim] || at < of.size(dim);
  return Object.fromEntries(Object.entries(place).map(([dim, at]) => [dim, inside([dim, at]) ? at : NaN]));
}

// ---------------------------------------------------------------- its curves

function draw(id, title, traces, layout) {
  const figure = node(id).parentElement;
  figure.hidden = !traces.some(({ y }) => y.some((value) => !isNaN(value)));
  if (figure.hidden) return;
  if (layout.log) traces.forEach((trace) => (trace.y = trace.y.map((value) => (value > 0 ? value : NaN))));
  node(`${id}-title`).textContent = title;
  node(id).setAttribute("role", "img");
  node(id).setAttribute("aria-label", `${title}: ${traces.map(({ name }) => name).join("; ")}`);
  const axis = { showline: true, linecolor: "#999", gridcolor: "#eee", zeroline: false, fixedrange: true, ticks: "outside", ticklen: 3 };
  Plotly.react(
    id,
    traces,
    {
      ...{ margin: { l: 52, r: 8, t: 6, b: 36 }, dragmode: false, hovermode: "closest", showlegend: traces.length > 1 },
      ...{ font: { family: FONT, size: 11, color: INK }, plot_bgcolor: "#fff", paper_bgcolor: "#fff" },
      legend: { orientation: "h", y: -0.22, yanchor: "top", x: 0, font: { size: 11 } },
      hoverlabel: { bgcolor: "#fff", bordercolor: "#888", font: { color: INK, size: 12 } },
      xaxis: { ...axis, title: { text: layout.x, standoff: 4 }, ...layout.xaxis },
      yaxis: { ...axis, type: layout.log ? "log" : "linear", ...logRange(traces, layout) },
    },
    { displayModeBar: false, responsive: true },
  );
}

/** A logarithmic axis ends seventeen digits below the greatest number: what is less is rounding. */
function logRange(traces, { log }) {
  if (!log) return { rangemode: "tozero" };
  const all = traces.flatMap(({ y }) => y).filter((value) => value > 0 && isFinite(value));
  const top = Math.log10(Math.max(...all));
  const low = Math.max(Math.log10(Math.min(...all)), top - 17);
  const pad = 0.05 * (top - low) + 0.02;
  const { values, texts } = decades(low - pad, top + pad);
  return { range: [low - pad, top + pad], tickvals: values, ticktext: texts };
}

function line(name, x, y, look, extra = {}) {
  return {
    ...{ type: "scatter", mode: "lines+markers", name, x, y, hovertemplate: "%{y:.4~g} at %{x}<extra>%{fullData.name}</extra>" },
    line: { color: look.color, dash: look.dash, width: look.width ?? 1.6 },
    marker: { color: look.color, symbol: look.symbol, size: look.size ?? 6, maxdisplayed: 24 },
    ...extra,
  };
}

/** Colours of a sequence, from the dark end, without the light one. */
function shade(i, count) {
  const scale = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [170, 210, 50]];
  const at = count > 1 ? (i / (count - 1)) * (scale.length - 1) : 0;
  const [from, to] = [scale[Math.floor(at)], scale[Math.ceil(at)]];
  return `rgb(${from.map((value, c) => Math.round(value + (at % 1) * (to[c] - value))).join(",")})`;
}

/** A curve over positions for each layer, or, of two networks, for each at the layer chosen. */
function overPositions(networks, variable) {
  const curve = (network, layer, name, look) => {
    const { of, place } = network;
    if (!of.variables[variable] || layer >= of.size("layer")) return [];
    const y = of.curve(variable, { ...place, layer }, "index");
    const last = y.findLastIndex((value) => !isNaN(value)) + 1;
    const x = of.dimensions.index.values.slice(0, last).map(Number);
    return last ? [line(name, x, y.slice(0, last), look)] : [];
  };
  const { layer } = state.picks;
  if (networks.length > 1) return networks.flatMap((network) => curve(network, layer, label(network), network.look));
  const layers = cube().layers(state.cell);
  return layers.flatMap((l) =>
    curve(networks[0], l, `layer ${l + 1}`, {
      ...{ color: shade(l, layers.length), symbol: SYMBOLS[l % SYMBOLS.length], dash: DASHES[l % DASHES.length] },
      ...{ width: l === layer ? 3 : 1.2, size: l === layer ? 8 : 5 },
    }),
  );
}

/** A second curve of the layer chosen, drawn as marks alone. */
function beside(networks, variable, name, symbol) {
  const { layer } = state.picks;
  return networks.flatMap((network) => {
    const { of, place, look } = network;
    if (!of.variables[variable] || layer >= of.size("layer")) return [];
    const color = networks.length > 1 ? look.color : "#000";
    const said = networks.length > 1 ? `${name}, ${label(network)}` : `${name}, layer ${layer + 1}`;
    const y = of.curve(variable, { ...place, layer }, "index");
    const marker = { color, symbol, size: 6, line: { color, width: 1.2 } };
    return y.some((value) => !isNaN(value))
      ? [line(said, of.dimensions.index.values.map(Number), y, { color }, { mode: "markers", marker })]
      : [];
  });
}

/** An axis of positions, which begin at 1. */
function positions(traces) {
  const last = Math.max(1, ...traces.flatMap(({ x }) => x));
  const pad = 0.5 + 0.01 * last;
  return { range: [1 - pad, last + pad] };
}

const ofLayer = (networks) =>
  networks.length > 1 ? `, layer ${cube().dimensions.layer.values[state.picks.layer]}` : "";

function spectrum(networks) {
  const traces = [
    ...overPositions(networks, "singular_values"),
    ...beside(networks, "forecast", "forecast", "x-thin"),
  ];
  draw("spectrum", `Singular values${ofLayer(networks)}`, traces, { x: "position", log: true, xaxis: positions(traces) });
}

function tail(networks) {
  const traces = [
    ...overPositions(networks, "relative_tail"),
    ...beside(networks, "certified_tail", "certified", "triangle-down-open"),
  ];
  draw("tail", `Relative tail beyond the first r${ofLayer(networks)}`, traces, { x: "r", log: true, xaxis: positions(traces) });
}

function residual(networks) {
  const traces = networks.flatMap((network) => {
    const { of, place, look } = network;
    if (!of.variables.residual) return [];
    const layers = of.layers(place);
    const y = layers.map((layer) => of.number("residual", { ...place, layer }));
    return [line(label(network), layers.map((l) => l + 1), y, { ...look, size: 8 })];
  });
  draw("residual", "Norm of the residual of each layer", traces, { x: "layer", log: true, xaxis: { dtick: 1 } });
}

/** The spectrum of the layer chosen at a few snapshots, evenly spaced. */
function way({ of, place }) {
  const most = 6;
  const traces = [];
  const { layer } = state.picks;
  if (of.variables.snapshot_singular_values) {
    const count = of.size("snapshot");
    const some = [...new Set(range(most).map((i) => Math.round((i * (count - 1)) / (most - 1))))];
    some.forEach((snapshot, i) => {
      const y = of.curve("snapshot_singular_values", { ...place, layer, snapshot }, "index");
      const last = y.findLastIndex((value) => !isNaN(value)) + 1;
      if (!last) return;
      const look = { color: shade(some.length - 1 - i, some.length), dash: "solid", symbol: SYMBOLS[i], size: 5, width: 1.2 };
      traces.push(line(`${of.dimensions.snapshot.values[snapshot]}`, range(last).map((r) => r + 1), y.slice(0, last), look));
    });
  }
  const whose = compared().length > 1 ? " of the chosen network" : "";
  draw("way", `Singular values${whose} on the way, layer ${layer + 1}, after passes`, traces, { x: "position", log: true, xaxis: positions(traces) });
}

/** Class WCSS on the way: of all features, or of two networks that of the chosen layer's input. */
function wcss(networks) {
  const curve = (network, source, name, look) => {
    const { of, place } = network;
    if (!of.variables.snapshot_wcss || source >= of.size("source")) return [];
    const x = of.dimensions.snapshot.values.map(Number);
    return [line(name, x, of.curve("snapshot_wcss", { ...place, source }, "snapshot"), look)];
  };
  const two = networks.length > 1;
  const sources = two || !cube().dimensions.source ? [] : range(cube().size("source"));
  const traces = two
    ? networks.flatMap((network) => curve(network, state.picks.layer, label(network), network.look))
    : sources.flatMap((k) =>
        curve(networks[0], k, `z${k}`, { color: shade(k, sources.length), symbol: SYMBOLS[k % 8], dash: DASHES[k % 6], width: 1.4 }),
      );
  const title = `WCSS of the classes on the way${two ? `, features z${state.picks.layer}` : ""}`;
  draw("wcss", title, traces, { x: "passes over the data", log: true });
}

/** What the experiment does not have, said where a curve would stand. */
function absent(networks) {
  const { of } = networks[0];
  const curves = {
    forecast: "the forecast of linear networks",
    certified_tail: "the certified curve",
    snapshot_singular_values: "snapshots on the way",
  };
  const lacks = Object.keys(curves).filter((name) => !of.variables[name]);
  const gone = of.layers(state.cell).includes(state.picks.layer) ? "" : `This network has no layer ${state.picks.layer + 1}. `;
  const why = { diverged: "It diverged: there are no measures of it. ", dead: "It is dead: relative measures are missing. " };
  node("absent").textContent =
    gone +
    (why[of.end(state.cell)] ?? "") +
    (lacks.length ? `Not measured in ${of.name}: ${lacks.map((name) => curves[name]).join(", ")}.` : "");
}

// ---------------------------------------------------------------- words about it

function commands({ of, place }) {
  const lines = Object.entries(of.commands).map(([does, command]) => {
    const box = document.createElement("div");
    box.className = "command";
    const about = Object.assign(document.createElement("span"), { textContent: does });
    const code = Object.assign(document.createElement("code"), { textContent: command.replace("CELLS", of.path(place)) });
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Copy" });
    button.setAttribute("aria-label", `Copy the command to ${does}`);
    button.addEventListener("click", () => copy(code, button));
    box.append(about, code, button);
    return box;
  });
  node("commands").replaceChildren(...lines);
}

async function copy(code, button) {
  const selection = getSelection();
  selection.selectAllChildren(code);
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    button.textContent = document.execCommand("copy") ? "Copied" : "Selected";
  }
}

function allNumbers() {
  const networks = compared();
  const rows = Object.keys(cube().variables).map((name) => [
    `${words(name)}${whereOf(name)}`,
    ...networks.map(({ of, place }) => {
      if (!of.variables[name]) return "not measured";
      if (of.flags[name]) return of.flag(name, place);
      return told(of.number(name, within(of, { ...place, ...choice() })), 7);
    }),
    cube().variables[name].long_name,
  ]);
  table(node("all-numbers").querySelector("table"), networks, rows);
}

function madeFrom() {
  const { attributes, left_out } = cube();
  const parts = Object.entries(attributes).map(([key, value]) => {
    if (key !== "settings") return [key, String(value)];
    return [key, JSON.stringify(JSON.parse(value), null, 1)];
  });
  if (left_out.length) parts.push(["in the file, but not here", left_out.join(", ")]);
  const nodes = parts.flatMap(([key, value]) => {
    const text = document.createElement(key === "settings" ? "pre" : "span");
    text.textContent = value;
    const about = document.createElement("dd");
    about.append(text);
    return [Object.assign(document.createElement("dt"), { textContent: key }), about];
  });
  node("made-from").querySelector("dl").replaceChildren(...nodes);
}

/** What is seen, in words. */
function titles() {
  const of = cube();
  const { long_name, reference, comment, units } = of.variables[state.measure];
  const seeds = overSeeds() ? `, median of ${of.size("seed")} seeds` : "";
  node("plane-title").textContent = `${words(of.name)}: ${words(state.measure)}${whereOf(state.measure)}${seeds}`;
  const about = [long_name, reference, units && units !== "1" ? `in ${units}` : "a pure number", comment];
  node("measure-about").textContent = `${about.filter(Boolean).join("; ")}.`;
}

/** The chosen square in words, which screen readers speak. */
function say() {
  const of = cube();
  const at = square(state.cell[state.x], state.cell[state.y]);
  const where = [state.y, state.x].map((axis) => `${words(axis)} ${of.dimensions[axis].values[state.cell[axis]]}`);
  const each = at.seeds.map((seed, i) => `${told(at.numbers[i])} (seed ${of.dimensions.seed.values[seed]}, ${at.ends[i]})`);
  const one = `${told(at.number)}, ${[...new Set(at.ends)].join(" and ")}`;
  const what = overSeeds() && !isNaN(at.number) ? `median ${told(at.number)} of ${each.join(", ")}` : one;
  node("said").textContent = `${where.join(", ")}: ${words(state.measure)} ${what}`;
}

function fault(text) {
  node("fault").textContent = text;
  node("fault").hidden = !text;
}

// ---------------------------------------------------------------- what a person does

/** Show all anew. */
function show() {
  titles();
  choices();
  drawPlane();
  say();
  drawNetwork();
  remember();
}

/** Choose another network; the plane stays what it is, unless it goes through another place. */
function move(to) {
  const through = cube().axes.filter((axis) => ![state.x, state.y].includes(axis) && !(axis === "seed" && overSeeds()));
  const another = through.some((axis) => axis in to && to[axis] !== state.cell[axis]);
  state.cell = { ...state.cell, ...to };
  if (another) {
    show();
    return;
  }
  Plotly.relayout("plane", { shapes: outlines() });
  say();
  drawNetwork();
  remember();
}

function togglePin() {
  if (state.pin && compared().length === 1) return unpin();
  state.pin = { experiment: state.experiment, cell: { ...state.cell } };
  return show();
}

function unpin() {
  state.pin = null;
  show();
}

const ARROWS = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowUp: ["y", 1], ArrowDown: ["y", -1] };

function pressed(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key in ARROWS) {
    const [side, step] = ARROWS[event.key];
    const axis = state[side];
    const at = state.cell[axis] + step;
    if (at >= 0 && at < cube().size(axis)) move({ [axis]: at });
  } else if (event.key === "Enter" || event.key === " ") togglePin();
  else if (event.key === "Escape") unpin();
  else return;
  event.preventDefault();
}

async function begin() {
  if (!EXPERIMENTS.length) throw new Error("There is no experiment in this page.");
  if (!("DecompressionStream" in window)) throw new Error("This browser is too old for this page: it cannot unpack its numbers.");
  const code = document.createElement("script");
  code.textContent = new TextDecoder().decode(await unpacked("plotly"));
  document.head.append(code);
  const address = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  await enter(address());
  show();
  node("plane").on("plotly_click", ({ points: [{ x, y }] }) => move({ [state.x]: x, [state.y]: y }));
  node("plane").addEventListener("keydown", pressed);
  node("choices").addEventListener("submit", (event) => event.preventDefault());
  node("all-numbers").addEventListener("toggle", allNumbers);
  node("made-from").addEventListener("toggle", madeFrom);
  addEventListener("hashchange", () => enter(address()).then(show));
  document.body.dataset.ready = "yes";
}

begin().catch((error) => fault(error.message));
