// The chosen network, beside the pinned one: in a table and in words.

const REASONS = {
  tolerance: "reached the tolerance",
  collapsed_to_zero: "the weights collapsed to zero",
  epochs: "spent its epochs",
  wall_clock: "spent its time",
  no_descent: "found no descent",
  diverged: "diverged",
};

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
  const values = axes.map((axis) => `${words(axis)} ${brief(valueOf({ of, place }, axis))}`);
  return [...(others ? [of.name] : []), ...values].join(", ");
}

const valueOf = ({ of, place }, axis) => of.dimensions[axis].values[place[axis]];

function drawNetwork() {
  const networks = compared();
  const beside = networks.length > 1 ? " beside the pinned one" : "";
  node("network-title").textContent = `The chosen network${beside}`;
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
  evaluations: "epochs over the data",
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
    const reason = of.flag("termination_reason", place);
    return `${of.flag("status", place)}: ${REASONS[reason] ?? words(reason)}`;
  };
  const rows = of.axes.map((axis) => [words(axis), ...networks.map((network) => valueOf(network, axis))]);
  if (networks.some((network) => network.of !== of))
    rows.unshift(["experiment", ...networks.map((network) => network.of.name)]);
  rows.push(["termination_reason", ...networks.map(ended)]);
  for (const [variable, name] of Object.entries(FACTS))
    if (networks.some((network) => network.of.variables[variable])) rows.push([name, ...numbers(variable)]);
  if (!FACTS[state.measure])
    rows.push([`${words(state.measure)}${whereOf(state.measure)}`, ...numbers(state.measure, 7)]);
  table(node("facts"), networks, rows);
}

/** The choices that a measure takes, in words. */
function whereOf(measure) {
  const of = cube();
  const names = { layer: "layer ", source: "features z", index: "position ", snapshot: "after epochs " };
  const parts = extras(of, measure).map((dim) => {
    const at = choice()[dim];
    if (at === LEAST) return "least over sources";
    return `${names[dim]}${of.dimensions[dim].values[at]}`;
  });
  return parts.length ? `, ${parts.join(", ")}` : "";
}

/** A place in another cube: beyond its end there is nothing. */
function within(of, place) {
  const inside = ([dim, at]) => at === LEAST || !of.dimensions[dim] || at < of.size(dim);
  return Object.fromEntries(Object.entries(place).map(([dim, at]) => [dim, inside([dim, at]) ? at : NaN]));
}

function commands({ of, place }) {
  const lines = Object.entries(of.commands).map(([does, command]) => {
    const box = document.createElement("div");
    box.className = "command";
    const about = Object.assign(document.createElement("span"), { textContent: does });
    const code = document.createElement("code");
    code.textContent = command.replace("CELLS", of.path(place));
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
    const text = JSON.stringify(JSON.parse(value), null, 1);
    // lists of values in a line each
    return [key, text.replace(/\[[^[\]{}]*\]/g, (list) => list.replace(/\s+/g, " "))];
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

/** What the experiment does not have, said where a curve would stand. */
function absent(networks) {
  const { of } = networks[0];
  const curves = {
    forecast: "the forecast of linear networks",
    tail_bound: "the certified curve",
    snapshot_singular_values: "snapshots on the way",
  };
  const lacks = Object.keys(curves).filter((name) => !of.variables[name]);
  const why = {
    diverged: "It diverged: there are no measures of it.",
    collapsed_to_zero: "It is dead: all singular values are 0, and relative measures are missing.",
  };
  const said = [
    of.layers(state.cell).includes(state.picks.layer) ? "" : `This network has no layer ${state.picks.layer + 1}.`,
    why[of.end(state.cell)],
    lacks.length ? `Not measured in ${of.name}: ${lacks.map((name) => curves[name]).join(", ")}.` : "",
  ];
  node("absent").textContent = said.filter(Boolean).join(" ");
}
