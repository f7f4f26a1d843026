// The numbers: what the page contains of each experiment, and the cubes of its measures.

const ABOUT = JSON.parse(document.getElementById("about").textContent);
const EXPERIMENTS = Object.keys(ABOUT);
const cubes = {};
const SMALLEST = "smallest";

const node = (id) => document.getElementById(id);
const range = (count) => Array.from({ length: count }, (_, i) => i);
const words = (name) => name.replaceAll("_", " ");

/** An element with properties and children. */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** The title of an axis along a dimension. */
const axisTitle = (of, dim) => of.dimensions[dim].long_name.replace(/\blambda\b/, "λ").replace(/\bsigma\b/, "σ");

/** The bytes of an embedded file. */
async function unpacked(id) {
  const packed = Uint8Array.from(atob(node(id).textContent.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

/** The measures of an experiment. A place gives an index for each dimension. */
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
    if (place.source === SMALLEST && this.has(variable, "source")) {
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

  outcome(place) {
    return this.flag("termination_reason", place) === "diverged" ? "diverged" : this.flag("status", place);
  }

  /** Indices of the layers of a network. */
  layers(place) {
    const all = range(this.size("layer"));
    if (isNaN(this.dimensions.layer.values[0]))
      return all.filter((layer) => !isNaN(this.number("singular_values", { ...place, layer, index: 0 })));
    const depth = Number(this.dimensions.depth.values[place.depth]);
    return range(Math.min(depth, all.length));
  }

  /** A layer in words: its number from 1, or its name. */
  layerName(layer) {
    const text = this.dimensions.layer.values[layer] ?? layer + 1;
    return isNaN(text) ? text : `layer ${text}`;
  }

  /** The place of a network as in paths of files, and back. */
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

/** A number as text. */
function format(value, digits = 4) {
  if (isNaN(value)) return "missing";
  if (!isFinite(value)) return "beyond 32 bits";
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 24) return String(value);
  const size = Math.abs(value);
  const text = size < 1e-3 || size >= 1e6 ? value.toExponential(digits - 1) : value.toPrecision(digits);
  return text.replace(/(\.\d*?)0+(e|$)/, "$1$2").replace(/\.(e|$)/, "$1");
}

/** A value of an axis in few letters. */
const brief = (text) => (text.length > 6 ? format(Number(text), 3) : text);

function median(values) {
  const sorted = values.filter((value) => !isNaN(value)).sort((a, b) => a - b);
  const half = sorted.length >> 1;
  if (!sorted.length) return NaN;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
