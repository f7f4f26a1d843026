// The plane: a square for each network, or for all its seeds.

const MAP = "Viridis";
const INK = "#222";
const FONT = getComputedStyle(document.body).fontFamily;
// Figures draw these on a linear scale, however small some are.
const LINEAR = ["relative_distance"];

// How a network ended: its mark on the plane, and in words.
const ENDS = {
  stopped: { symbol: "circle", size: 8, width: 1, says: "stopped, not stationary" },
  diverged: { symbol: "triangle-up", size: 10, width: 1, says: "diverged" },
  collapsed_to_zero: { symbol: "x-thin", size: 8, width: 1.6, says: "dead: all weights at the origin" },
};
const ICONS = {
  stopped: '<circle cx="7" cy="7" r="4.5" fill="#fff" stroke="#000"/>',
  diverged: '<path d="M7 2 12 11.5H2z" fill="#fff" stroke="#000"/>',
  collapsed_to_zero: '<path d="m3 3 8 8m0-8-8 8" stroke="#000" stroke-width="1.6"/>',
  missing: '<path d="M0 14 14 0M0 7 7 0M7 14l7-7" stroke="#999"/>',
  chosen: '<path d="M1.5 1.5h11v11h-11z" fill="none" stroke="#0072B2" stroke-width="3"/>',
  pinned: '<path d="M1.5 1.5h11v11h-11z" fill="none" stroke="#D55E00" stroke-width="3" stroke-dasharray="3 2"/>',
};

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
  for (const dim of free)
    places = places.flatMap((place) => range(of.size(dim)).map((i) => ({ ...place, [dim]: i })));
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
  const value = (axis, i) => `${axisName(of, axis)} ${of.dimensions[axis].values[i]}`;
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
    ...{ margin: { l: 50, r: 12, t: 4, b: 44 }, dragmode: false, hovermode: "closest", shapes: outlines() },
    ...{ font: { family: FONT, size: 12, color: INK }, plot_bgcolor: "#fff", paper_bgcolor: "#fff" },
    xaxis: axis(state.x, Math.max(3, Math.floor(node("plane").clientWidth / 75))),
    yaxis: axis(state.y, 9),
  };
  const how = { displayModeBar: false, responsive: true };
  Plotly.react("plane", [heat, hatched(marks.missing), ...traces], layout, how);
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
  const { values } = cube().dimensions[name];
  const step = Math.ceil(values.length / most);
  const shown = range(values.length).filter((i) => i % step === 0);
  const pad = 0.012 * values.length; // for the frames
  return {
    ...{ title: { text: axisName(cube(), name), standoff: 8 }, range: [-0.5 - pad, values.length - 0.5 + pad] },
    ...{ showgrid: false, zeroline: false },
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

/** The squares with each mark. */
function marked(squares) {
  const marks = { missing: [], stopped: [], diverged: [], collapsed_to_zero: [] };
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
  for (const end of ["stopped", "diverged", "collapsed_to_zero"]) {
    const seed = overSeeds() ? "a seed " : "";
    if (count(end)) items.push(item(end, `${seed}${ENDS[end].says}: ${count(end)} of ${networks.length} networks`));
  }
  const missing = marks.missing.length;
  if (missing) items.push(item("missing", `no number: ${missing} of ${squares.length} squares`));
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
  const seed = (i) => `seed ${of.dimensions.seed.values[at.seeds[i]]}`;
  const each = at.numbers.map((number, i) => `${told(number)} (${seed(i)}, ${at.ends[i]})`);
  const one = `${told(at.number)}, ${[...new Set(at.ends)].join(" and ")}`;
  const what = overSeeds() && !isNaN(at.number) ? `median ${told(at.number)} of ${each.join(", ")}` : one;
  node("said").textContent = `${where.join(", ")}: ${words(state.measure)} ${what}`;
}
