// The chosen network, beside the pinned one: in a table and in words.

const REASONS = {
  tolerance: "reached the tolerance",
  collapsed_to_zero: "the weights collapsed to zero",
  epochs: "used all epochs",
  no_descent: "found no direction of descent",
};

// Numbers of the full network that come first in the table.
const FACTS = {
  relative_residual: "relative residual",
  evaluations: "epochs",
  iterations: "iterations",
  loss: "loss without the penalty",
  train_accuracy: "accuracy on training points",
  test_accuracy: "accuracy on test points",
};

/** The chosen network, and the pinned one if it is another network. */
function compared() {
  const chosen = { of: cube(), place: state.cell, style: CHOSEN };
  if (!state.pin) return [chosen];
  const pinned = { of: cubes[state.pin.experiment], place: state.pin.cell, style: PINNED };
  const same = pinned.of === chosen.of && pinned.of.path(pinned.place) === chosen.of.path(chosen.place);
  return same ? [chosen] : [chosen, pinned];
}

const valueOf = ({ of, place }, axis) => of.dimensions[axis].values[place[axis]];

/** The values in which a network differs from the other one. */
function label(network) {
  const all = compared();
  const differs = (axis) => all.some((other) => valueOf(other, axis) !== valueOf(network, axis));
  const axes = network.of.axes.filter((axis) => (all.length > 1 ? differs(axis) : network.of.size(axis) > 1));
  const values = axes.map((axis) => `${words(axis)} ${brief(valueOf(network, axis))}`);
  return [...(all.some((other) => other.of !== network.of) ? [network.of.name] : []), ...values].join(", ");
}

let waiting = 0;

function drawNetwork() {
  const networks = compared();
  const beside = networks.length > 1 ? " beside the pinned network" : "";
  node("network-title").textContent = `The chosen network${beside}`;
  actions(networks);
  facts(networks);
  notes(networks[0]);
  commands(networks[0]);
  if (node("all-numbers").open) allNumbers();
  if (node("made-from").open) madeFrom();
  // curves wait until no other network is chosen, such as by a key that is held down
  node("curves").setAttribute("aria-busy", "true");
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    CURVES.forEach((curves) => curves(networks));
    node("curves").setAttribute("aria-busy", "false");
  }, 20);
}

function button(text, act, properties = {}) {
  const made = element("button", { type: "button", textContent: text, ...properties });
  made.addEventListener("click", () => act(made));
  return made;
}

function actions(networks) {
  const of = cube();
  const parts = [];
  if (networks.length > 1 || !state.pin)
    parts.push(button(networks.length > 1 ? "Pin this network instead" : "Pin to compare", togglePin, { id: "pin" }));
  if (state.pin) parts.push(button("Unpin", unpin, { id: "unpin" }));
  if (of.size("seed") > 1) {
    const seeds = of.dimensions.seed.values.map((seed, i) =>
      button(seed, () => move({ seed: i }), { ariaPressed: String(i === state.cell.seed) }),
    );
    parts.push(element("span", {}, "seed"), ...seeds);
  }
  if (state.pin && networks.length === 1) parts.push(element("span", {}, "pinned: choose another network"));
  node("actions").replaceChildren(...parts);
}

/** Fill a table with a column for each network. */
function table(target, networks, rows) {
  const heads = [["", ""], ["● chosen", "chosen"], ["◇ pinned", "pinned"]];
  const head = heads.map(([text, className]) => element("th", { scope: "col", className }, text));
  const body = rows.map(([name, ...values]) =>
    element("tr", {}, element("th", { scope: "row" }, name), ...values.map((value) => element("td", {}, value))),
  );
  target.replaceChildren(
    element("thead", {}, ...(networks.length > 1 ? [element("tr", {}, ...head)] : [])),
    element("tbody", {}, ...body),
  );
}

function facts(networks) {
  const of = cube();
  const reason = (network) => {
    const name = network.of.flag("termination_reason", network.place);
    return `${words(network.of.flag("status", network.place))}: ${REASONS[name] ?? words(name)}`;
  };
  const rows = of.axes.map((axis) => [words(axis), ...networks.map((network) => valueOf(network, axis))]);
  if (networks.some((network) => network.of !== of))
    rows.unshift(["experiment", ...networks.map((network) => network.of.name)]);
  rows.push(["training", ...networks.map(reason)]);
  for (const [variable, name] of Object.entries(FACTS))
    if (networks.some((network) => network.of.variables[variable]))
      rows.push([name, ...networks.map((network) => numberOf(network, variable, 4))]);
  if (!FACTS[state.measure])
    rows.push([
      `${words(state.measure)}${whereOf(state.measure)}`,
      ...networks.map((network) => numberOf(network, state.measure, 7)),
    ]);
  table(node("facts"), networks, rows);
}

/** A number of a network at the chosen layer, source, position and snapshot, as text. */
function numberOf({ of, place }, variable, digits) {
  if (!of.variables[variable]) return "not measured";
  if (of.flags[variable]) return words(of.flag(variable, place));
  const inside = ([dim, at]) => [dim, at === SMALLEST || !of.dimensions[dim] || at < of.size(dim) ? at : NaN];
  const all = Object.fromEntries(Object.entries({ ...place, ...choice() }).map(inside));
  return format(of.number(variable, all), digits);
}

/** The layer, source, position and snapshot of a measure, in words. */
function whereOf(measure) {
  const of = cube();
  const names = { layer: "layer ", source: "features z", index: "position ", snapshot: "after epochs " };
  const parts = extras(of, measure).map((dim) => {
    const at = choice()[dim];
    return at === SMALLEST ? "smallest over sources" : `${names[dim]}${of.dimensions[dim].values[at]}`;
  });
  return parts.map((part) => `, ${part}`).join("");
}

function commands({ of, place }) {
  const lines = Object.entries(of.commands).map(([does, command]) => {
    const code = element("code", {}, command.replace("CELLS", of.path(place)));
    const act = button("Copy", (made) => copy(code, made), { ariaLabel: `Copy the command to ${does}` });
    return element("div", { className: "command" }, element("span", {}, does), code, act);
  });
  node("commands").replaceChildren(...lines);
}

async function copy(code, made) {
  getSelection().selectAllChildren(code);
  try {
    await navigator.clipboard.writeText(code.textContent);
    made.textContent = "Copied";
  } catch {
    made.textContent = document.execCommand("copy") ? "Copied" : "Selected";
  }
}

function allNumbers() {
  const networks = compared();
  const rows = Object.entries(cube().variables).map(([name, { long_name }]) => [
    `${words(name)}${whereOf(name)}`,
    ...networks.map((network) => numberOf(network, name, 7)),
    long_name,
  ]);
  table(node("all-numbers").querySelector("table"), networks, rows);
}

function madeFrom() {
  const { attributes, left_out } = cube();
  const { settings, ...others } = attributes;
  const parts = {
    ...others,
    // each list of values in one line
    ...(settings && {
      settings: JSON.stringify(JSON.parse(settings), null, 1).replace(/\[[^[\]{}]*\]/g, (list) =>
        list.replace(/\s+/g, " "),
      ),
    }),
    ...(left_out.length && { "variables of the file that are not on this page": left_out.join(", ") }),
  };
  const nodes = Object.entries(parts).flatMap(([key, value]) => [
    element("dt", {}, key),
    element("dd", {}, element(key === "settings" ? "pre" : "span", {}, String(value))),
  ]);
  node("made-from").querySelector("dl").replaceChildren(...nodes);
}

/** Why some curves and numbers are missing. */
function notes({ of, place }) {
  const curves = {
    forecast: "the forecast of linear networks",
    tail_bound: "the upper bound on the tail",
    snapshot_singular_values: "snapshots during training",
  };
  const missing = Object.keys(curves).filter((name) => !of.variables[name]);
  const outcomes = {
    diverged: "The network diverged and has no measures.",
    collapsed_to_zero: "The network collapsed to zero: all singular values are 0, and relative measures are missing.",
  };
  const texts = [
    of.layers(place).includes(state.picks.layer) ? "" : `This network has no ${of.layerName(state.picks.layer)}.`,
    outcomes[of.outcome(place)],
    missing.length ? `Not measured in ${of.name}: ${missing.map((name) => curves[name]).join(", ")}.` : "",
  ];
  node("notes").textContent = texts.filter(Boolean).join(" ");
}
