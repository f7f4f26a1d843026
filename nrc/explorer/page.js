// Actions of the user, and the start of the page.

/** Draw the page. */
function show() {
  titles();
  choices();
  drawPlane();
  announce();
  drawNetwork();
  remember();
}

/** Choose another network; the plane is drawn again only if it shows other networks. */
function move(to) {
  const free = [state.x, state.y, ...(overSeeds() ? ["seed"] : [])];
  const others = Object.keys(to).some((axis) => !free.includes(axis) && to[axis] !== state.cell[axis]);
  state.cell = { ...state.cell, ...to };
  if (others) return show();
  Plotly.relayout("plane", { shapes: outlines() });
  announce();
  drawNetwork();
  return remember();
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

function fault(text) {
  node("fault").textContent = text;
  node("fault").hidden = !text;
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
  if (!EXPERIMENTS.length) throw new Error("This page contains no experiment.");
  if (!("DecompressionStream" in window)) throw new Error("This browser is too old to decompress the numbers.");
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

begin()
  .catch((error) => fault(error.message))
  .finally(() => node("waiting").remove());
