// The curves of the chosen and of the pinned network.

// colours by Okabe and Ito; curves also differ by symbol or by line
const CHOSEN = { color: "#0072B2", symbol: "circle", dash: "solid" };
const PINNED = { color: "#D55E00", symbol: "diamond-open", dash: "dash" };
const COLOURS = ["#440154", "#3b528b", "#21918c", "#5ec962", "#aad232"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down"];
const DASHES = ["solid", "dot", "dash", "longdash", "dashdot", "longdashdot"];

function draw(id, title, traces, x, xaxis = {}) {
  const figure = node(id).parentElement;
  figure.hidden = !traces.length;
  if (figure.hidden) return;
  node(`${id}-title`).textContent = title;
  node(id).setAttribute("role", "img");
  node(id).setAttribute("aria-label", `${title}: ${traces.map(({ name }) => name).join("; ")}`);
  const axis = {
    ...{ showline: true, linecolor: "#999", gridcolor: "#eee", zeroline: false },
    ...{ fixedrange: true, ticks: "outside", ticklen: 3 },
  };
  const layout = {
    ...{ margin: { l: 52, r: 8, t: 6, b: 36 }, dragmode: false, hovermode: "closest" },
    ...{ font: { family: FONT, size: 11, color: INK }, plot_bgcolor: "#fff", paper_bgcolor: "#fff" },
    showlegend: traces.length > 1,
    legend: { orientation: "h", y: traces.length > 3 ? -0.3 : -0.22, yanchor: "top", x: 0, font: { size: 11 } },
    hoverlabel: { bgcolor: "#fff", bordercolor: "#888", font: { color: INK, size: 12 } },
    xaxis: { ...axis, title: { text: x, standoff: 4 }, ...xaxis },
    yaxis: { ...axis, type: "log", nticks: 7, exponentformat: "power", range: logRange(traces) },
  };
  Plotly.react(id, traces, layout, PLOTLY);
}

/** The range of a logarithmic axis: numbers 17 decades below the largest are rounding errors. */
function logRange(traces) {
  const all = traces.flatMap(({ y }) => y).filter((value) => value > 0 && isFinite(value));
  const top = Math.log10(Math.max(...all));
  const low = Math.max(Math.log10(Math.min(...all)), top - 17);
  const pad = 0.05 * (top - low) + 0.02;
  return [low - pad, top + pad];
}

/** The curve of a variable of a network along a dimension, at some indices; none if there are no numbers. */
function curve({ of, place }, variable, along, at, name, style) {
  const absent = Object.entries(at).some(([dim, i]) => !of.dimensions[dim] || i >= of.size(dim));
  if (!of.variables[variable] || absent) return [];
  const y = of.curve(variable, { ...place, ...at }, along);
  return line(name, of.dimensions[along].values.map(Number), y, style);
}

function line(name, x, y, { color, dash, symbol, width = 1.6, size = 6, mode = "lines+markers" }) {
  if (!y.some((value) => value > 0)) return [];
  return [
    {
      ...{ type: "scatter", mode, name, x },
      y: y.map((value) => (value > 0 ? value : NaN)), // a logarithmic axis has no place for 0
      hovertemplate: "%{y:.4~g} at %{x}<extra>%{fullData.name}</extra>",
      line: { color, dash, width },
      marker: { color, symbol, size, line: { color, width: mode === "markers" ? 1.2 : 0 }, maxdisplayed: 24 },
    },
  ];
}

/** The style of a curve in a sequence. */
function sequential(i, count) {
  const color = COLOURS[Math.round((i / Math.max(1, count - 1)) * (COLOURS.length - 1))];
  return { color, symbol: SYMBOLS[i % SYMBOLS.length], dash: DASHES[i % DASHES.length] };
}

/** Curves over positions: of each layer, or of two networks at the chosen layer, with marks of a second variable. */
function overPositions(id, title, networks, variable, marks, name, symbol) {
  const { layer } = state.picks;
  const two = networks.length > 1;
  const layers = cube().layers(state.cell);
  const traces = two
    ? networks.flatMap((network) => curve(network, variable, "index", { layer }, label(network), network.style))
    : layers.flatMap((l) => {
        const style = { ...sequential(l, layers.length), width: l === layer ? 3 : 1.2, size: l === layer ? 8 : 5 };
        return curve(networks[0], variable, "index", { layer: l }, cube().layerName(l), style);
      });
  for (const network of networks) {
    const text = `${name}, ${two ? label(network) : cube().layerName(layer)}`;
    const style = { color: two ? network.style.color : "#000", symbol, mode: "markers" };
    traces.push(...curve(network, marks, "index", { layer }, text, style));
  }
  draw(id, `${title}${two ? `, ${cube().layerName(layer)}` : ""}`, traces, id === "tail" ? "r" : "position", positions(traces));
}

/** The range of an axis of positions, which begin at 1. */
function positions(traces) {
  const last = Math.max(1, ...traces.flatMap(({ x, y }) => x.filter((_, i) => !isNaN(y[i]))));
  const pad = 0.5 + 0.01 * last;
  return { range: [1 - pad, last + pad] };
}

const CURVES = [
  (networks) =>
    overPositions("spectrum", "Singular values", networks, "singular_values", "forecast", "forecast", "x-thin"),
  (networks) => {
    const title = "Relative tail beyond the first r singular values";
    overPositions("tail", title, networks, "relative_tail", "tail_bound", "upper bound", "triangle-down-open");
  },
  (networks) => {
    const traces = networks.flatMap((network) => {
      const { of, place, style } = network;
      if (!of.variables.residual) return [];
      const layers = of.layers(place);
      const y = layers.map((layer) => of.number("residual", { ...place, layer }));
      return line(label(network), layers.map((l) => l + 1), y, { ...style, size: 8 });
    });
    draw("residual", "Norm of the residual of each layer", traces, "layer", { dtick: 1 });
  },
  // the spectrum of the chosen layer at a few snapshots, evenly spaced
  (networks) => {
    const { layer } = state.picks;
    const { of } = networks[0];
    const count = of.dimensions.snapshot ? of.size("snapshot") : 0;
    const some = [...new Set(range(count ? 6 : 0).map((i) => Math.round((i * (count - 1)) / 5)))];
    const traces = some.flatMap((snapshot, i) => {
      const color = sequential(some.length - 1 - i, some.length).color;
      const style = { color, dash: "solid", symbol: SYMBOLS[i], size: 5, width: 1.2 };
      const name = of.dimensions.snapshot.values[snapshot];
      return curve(networks[0], "snapshot_singular_values", "index", { layer, snapshot }, name, style);
    });
    const whose = networks.length > 1 ? " of the chosen network" : "";
    const title = `Singular values${whose} during training, ${cube().layerName(layer)}, after epochs`;
    draw("trajectory", title, traces, "position", positions(traces));
  },
  // of every feature space, or of two networks at the input of the chosen layer
  (networks) => {
    const two = networks.length > 1;
    const sources = two || !cube().dimensions.source ? [] : range(cube().size("source"));
    const along = (network, source, name, style) =>
      curve(network, "snapshot_wcss", "snapshot", { source }, name, style);
    const traces = two
      ? networks.flatMap((network) => along(network, state.picks.layer, label(network), network.style))
      : sources.flatMap((k) => along(networks[0], k, `z${k}`, sequential(k, sources.length)));
    const title = `WCSS of the classes during training${two ? `, features z${state.picks.layer}` : ""}`;
    draw("wcss", title, traces, "epochs");
  },
];
