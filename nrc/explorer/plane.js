// The plane: one square for each network, or for all seeds of a network.

const INK = "#222";
const FONT = getComputedStyle(document.body).fontFamily;
// drawn on a linear scale even if some values are very small, as in the figures
const LINEAR = ["relative_distance"];
const PLOTLY = { displayModeBar: false, responsive: true };

// Outcomes of training that the plane marks.
const OUTCOMES = {
  stopped: { mark: "○", symbol: "circle", size: 8, width: 1, text: "stopped before it was stationary" },
  diverged: { mark: "△", symbol: "triangle-up", size: 10, width: 1, text: "diverged" },
  collapsed_to_zero: { mark: "×", symbol: "x-thin", size: 8, width: 1.6, text: "collapsed to zero" },
};

/** The numbers and outcomes at a square of the plane. */
function square(x, y) {
  const place = { ...state.cell, ...choice(), [state.x]: x, [state.y]: y };
  const seeds = overSeeds() ? range(cube().size("seed")) : [place.seed];
  const numbers = seeds.map((seed) => cube().number(state.measure, { ...place, seed }));
  const outcomes = seeds.map((seed) => cube().outcome({ ...place, seed }));
  return { seeds, numbers, outcomes, number: median(numbers) };
}

/** All squares of the plane, in rows from below, with the scale of their colours. */
function plane() {
  const of = cube();
  const squares = range(of.size(state.y)).map((y) => range(of.size(state.x)).map((x) => square(x, y)));
  const { low, high, positive, wide } = extent();
  const usual = wide && low >= 0 && !LINEAR.includes(state.measure) ? "log" : "linear";
  const scale = state.scale === "usual" || !isFinite(positive) ? usual : state.scale;
  return { squares, scale, low, high, positive };
}

/** Smallest and largest number of the measure over all layers and seeds, so that their colours compare. */
function extent() {
  const of = cube();
  const dims = of.variables[state.measure].dimensions;
  let places = [choice()];
  for (const dim of dims.filter((dim) => of.axes.includes(dim) || dim === "layer"))
    places = places.flatMap((place) => range(of.size(dim)).map((i) => ({ ...place, [dim]: i })));
  const numbers = places.map((place) => of.number(state.measure, place)).filter(isFinite).sort((a, b) => a - b);
  const positives = numbers.filter((value) => value > 0);
  const quantile = (share) => positives[Math.floor(share * (positives.length - 1))];
  return {
    low: numbers[0] ?? 0,
    high: numbers.at(-1) ?? 1,
    positive: positives[0] ?? NaN,
    wide: positives.length > 0 && quantile(0.9) > 100 * quantile(0.1),
  };
}

function hover(at, x, y) {
  const of = cube();
  const value = (axis, i) => `${axisTitle(of, axis)} ${of.dimensions[axis].values[i]}`;
  const each = at.seeds.map((seed, i) =>
    overSeeds()
      ? `seed ${of.dimensions.seed.values[seed]}: ${format(at.numbers[i])}, ${words(at.outcomes[i])}`
      : `${format(at.numbers[i], 7)}, ${words(at.outcomes[i])}`,
  );
  const { units } = of.variables[state.measure];
  const name = words(state.measure) + (units === "1" ? "" : ` [${units}]`);
  const middle = overSeeds() ? [`median ${format(at.number)}`] : [];
  return [value(state.y, y), value(state.x, x), `<b>${name}</b>`, ...middle, ...each].join("<br>");
}

function drawPlane() {
  const { squares, scale, low, high, positive } = plane();
  const log = scale === "log";
  const place = (value) => (log ? Math.log10(Math.max(value, positive)) : value);
  const ends = [place(low), place(high)];
  const [zmin, zmax] = ends[0] < ends[1] ? ends : [ends[0] - 0.5, ends[0] + 0.5];
  const powers = log && { tickprefix: "10<sup>", ticksuffix: "</sup>" };
  const heat = {
    ...{ type: "heatmap", colorscale: "Viridis", zmin, zmax, xgap: 1, ygap: 1, hoverinfo: "text" },
    z: squares.map((row) => row.map(({ number }) => (isFinite(number) ? place(number) : null))),
    text: squares.map((row, y) => row.map((at, x) => hover(at, x, y))),
    hoverlabel: { bgcolor: "#fff", bordercolor: "#888", font: { color: INK, size: 12 }, align: "left" },
    colorbar: {
      ...{ orientation: "h", thickness: 12, y: 1.01, yanchor: "bottom", ypad: 4, len: 1, xpad: 0, outlinewidth: 0 },
      ...{ nticks: 6, ...powers },
    },
  };
  const marks = Object.entries(OUTCOMES).map(([outcome, { symbol, size, width }]) => {
    const places = squares.flatMap((row, y) =>
      row.flatMap(({ outcomes }, x) => (outcomes.includes(outcome) ? [[x, y]] : [])),
    );
    return {
      ...{ type: "scatter", mode: "markers", hoverinfo: "skip", showlegend: false },
      ...{ x: places.map(([x]) => x), y: places.map(([, y]) => y) },
      marker: { symbol, size, color: "#fff", line: { color: "#000", width } },
    };
  });
  const layout = {
    ...{ margin: { l: 50, r: 12, t: 4, b: 44 }, dragmode: false, hovermode: "closest", shapes: outlines() },
    ...{ font: { family: FONT, size: 12, color: INK }, plot_bgcolor: "#ddd", paper_bgcolor: "#fff" },
    xaxis: axis(state.x, Math.max(3, Math.floor(node("plane").clientWidth / 75))),
    yaxis: axis(state.y, 9),
  };
  Plotly.react("plane", [heat, ...marks], layout, PLOTLY);
  legend(squares.flat(), log);
}

/** An axis of the plane with equal steps, some of which have labels. */
function axis(name, labels) {
  const { values } = cube().dimensions[name];
  const step = Math.ceil(values.length / labels);
  const shown = range(values.length).filter((i) => i % step === 0);
  const pad = 0.012 * values.length; // for the frames
  return {
    ...{ title: { text: axisTitle(cube(), name), standoff: 8 }, range: [-0.5 - pad, values.length - 0.5 + pad] },
    ...{ tickvals: shown, ticktext: shown.map((i) => brief(values[i])), ticks: "outside", ticklen: 3, tickangle: 0 },
    ...{ showgrid: false, zeroline: false, automargin: true, fixedrange: true },
  };
}

function legend(squares, log) {
  const outcomes = squares.flatMap((at) => at.outcomes);
  const count = (what) => outcomes.filter((outcome) => outcome === what).length;
  const missing = squares.filter(({ number }) => isNaN(number)).length;
  const items = [
    ...Object.entries(OUTCOMES)
      .filter(([outcome]) => count(outcome))
      .map(([outcome, { mark, text }]) => `${mark} ${text}: ${count(outcome)} of ${outcomes.length} networks`),
    ...(missing ? [`grey: no number, ${missing} of ${squares.length} squares`] : []),
    `${count("converged")} of ${outcomes.length} networks converged. All layers and seeds share one colour scale.`,
    ...(log && squares.some(({ number }) => number <= 0) ? ["Numbers of at most 0 have the lowest colour."] : []),
  ];
  const frames = [element("li", { className: "chosen" }, "▢ chosen")];
  if (state.pin) frames.push(element("li", { className: "pinned" }, "▢ pinned"));
  node("legend").replaceChildren(...frames, ...items.map((text) => element("li", {}, text)));
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
  // a pinned network of another experiment may have no square here
  const pinned = state.pin && cube().place(cubes[state.pin.experiment].path(state.pin.cell));
  return [...(pinned ? both(pinned, PINNED.color, "4px,2px") : []), ...both(state.cell, CHOSEN.color, "solid")];
}

/** The title of the plane, and the definition of its measure. */
function titles() {
  const of = cube();
  const { long_name, reference, comment, units } = of.variables[state.measure];
  const seeds = overSeeds() ? `, median of ${of.size("seed")} seeds` : "";
  node("plane-title").textContent = `${words(of.name)}: ${words(state.measure)}${whereOf(state.measure)}${seeds}`;
  const about = [long_name, reference, units && units !== "1" ? `in ${units}` : "dimensionless", comment];
  node("measure-about").textContent = `${about.filter(Boolean).join("; ")}.`;
}

/** The chosen square in words, for screen readers too. */
function announce() {
  const of = cube();
  const at = square(state.cell[state.x], state.cell[state.y]);
  const where = [state.y, state.x].map((axis) => `${words(axis)} ${of.dimensions[axis].values[state.cell[axis]]}`);
  const seed = (i) => `seed ${of.dimensions.seed.values[at.seeds[i]]}`;
  const each = at.numbers.map((number, i) => `${format(number)} (${seed(i)}, ${words(at.outcomes[i])})`);
  const one = `${format(at.number)}, ${[...new Set(at.outcomes)].map(words).join(" and ")}`;
  const what = overSeeds() && !isNaN(at.number) ? `median ${format(at.number)} of ${each.join(", ")}` : one;
  node("announcement").textContent = `${where.join(", ")}: ${words(state.measure)} ${what}`;
}
