// The curves of the chosen network and of the pinned one.

// Okabe & Ito's colours; what differs by colour differs by shape or line too.
const CHOSEN = { color: "#0072B2", symbol: "circle", dash: "solid" };
const PINNED = { color: "#D55E00", symbol: "diamond-open", dash: "dash" };
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down"];
const DASHES = ["solid", "dot", "dash", "longdash", "dashdot", "longdashdot"];

function draw(id, title, traces, layout) {
  const figure = node(id).parentElement;
  // a logarithmic axis has no place for 0
  traces.forEach((trace) => (trace.y = trace.y.map((value) => (value > 0 ? value : NaN))));
  traces = traces.filter(({ y }) => y.some((value) => !isNaN(value)));
  figure.hidden = !traces.length;
  if (figure.hidden) return;
  node(`${id}-title`).textContent = title;
  node(id).setAttribute("role", "img");
  node(id).setAttribute("aria-label", `${title}: ${traces.map(({ name }) => name).join("; ")}`);
  const axis = {
    ...{ showline: true, linecolor: "#999", gridcolor: "#eee", zeroline: false },
    ...{ fixedrange: true, ticks: "outside", ticklen: 3 },
  };
  Plotly.react(
    id,
    traces,
    {
      ...{ margin: { l: 52, r: 8, t: 6, b: 36 }, dragmode: false, hovermode: "closest" },
      showlegend: traces.length > 1,
      ...{ font: { family: FONT, size: 11, color: INK }, plot_bgcolor: "#fff", paper_bgcolor: "#fff" },
      legend: { orientation: "h", y: traces.length > 3 ? -0.3 : -0.22, yanchor: "top", x: 0, font: { size: 11 } },
      hoverlabel: { bgcolor: "#fff", bordercolor: "#888", font: { color: INK, size: 12 } },
      xaxis: { ...axis, title: { text: layout.x, standoff: 4 }, ...layout.xaxis },
      yaxis: { ...axis, type: "log", ...logRange(traces) },
    },
    { displayModeBar: false, responsive: true },
  );
}

/** A logarithmic axis ends seventeen digits below the greatest number: what is less is rounding. */
function logRange(traces) {
  const all = traces.flatMap(({ y }) => y).filter((value) => value > 0 && isFinite(value));
  const top = Math.log10(Math.max(...all));
  const low = Math.max(Math.log10(Math.min(...all)), top - 17);
  const pad = 0.05 * (top - low) + 0.02;
  const { values, texts } = decades(low - pad, top + pad);
  return { range: [low - pad, top + pad], tickvals: values, ticktext: texts };
}

function line(name, x, y, look, extra = {}) {
  return {
    ...{ type: "scatter", mode: "lines+markers", name, x, y },
    hovertemplate: "%{y:.4~g} at %{x}<extra>%{fullData.name}</extra>",
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

/** The look of a curve of a sequence: colour, symbol and line. */
function sequential(i, count) {
  return { color: shade(i, count), symbol: SYMBOLS[i % SYMBOLS.length], dash: DASHES[i % DASHES.length] };
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
  if (networks.length > 1)
    return networks.flatMap((network) => curve(network, layer, label(network), network.look));
  const layers = cube().layers(state.cell);
  return layers.flatMap((l) =>
    curve(networks[0], l, `layer ${l + 1}`, {
      ...sequential(l, layers.length),
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
  draw("spectrum", `Singular values${ofLayer(networks)}`, traces, { x: "position", xaxis: positions(traces) });
}

function tail(networks) {
  const traces = [
    ...overPositions(networks, "relative_tail"),
    ...beside(networks, "tail_bound", "certified", "triangle-down-open"),
  ];
  draw("tail", `Relative tail beyond the first r${ofLayer(networks)}`, traces, { x: "r", xaxis: positions(traces) });
}

function residual(networks) {
  const traces = networks.flatMap((network) => {
    const { of, place, look } = network;
    if (!of.variables.residual) return [];
    const layers = of.layers(place);
    const y = layers.map((layer) => of.number("residual", { ...place, layer }));
    return [line(label(network), layers.map((l) => l + 1), y, { ...look, size: 8 })];
  });
  draw("residual", "Norm of the residual of each layer", traces, { x: "layer", xaxis: { dtick: 1 } });
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
      const color = shade(some.length - 1 - i, some.length);
      const look = { color, dash: "solid", symbol: SYMBOLS[i], size: 5, width: 1.2 };
      const x = range(last).map((r) => r + 1);
      traces.push(line(of.dimensions.snapshot.values[snapshot], x, y.slice(0, last), look));
    });
  }
  const whose = compared().length > 1 ? " of the chosen network" : "";
  const title = `Singular values${whose} on the way, layer ${layer + 1}, after epochs`;
  draw("way", title, traces, { x: "position", xaxis: positions(traces) });
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
    : sources.flatMap((k) => curve(networks[0], k, `z${k}`, { ...sequential(k, sources.length), width: 1.4 }));
  const title = `WCSS of the classes on the way${two ? `, features z${state.picks.layer}` : ""}`;
  draw("wcss", title, traces, { x: "epochs over the data" });
}
