// The menus above the plane.

function choices() {
  const of = cube();
  const axes = several(of);
  const form = node("choices");
  const focused = document.activeElement?.id;
  form.replaceChildren();
  const offer = (id, label, options, value, chosen) => {
    const select = element("select", { id: `choose-${id}` });
    for (const [key, text] of options) select.add(new Option(text, key, false, key === String(value)));
    select.addEventListener("change", () => chosen(select.value));
    form.append(element("label", {}, label, select));
  };
  const named = (names) => names.map((name) => [name, words(name)]);
  const values = (dim) => of.dimensions[dim].values;

  offer("experiment", "experiment", named(EXPERIMENTS), of.name, (experiment) => change({ experiment }));
  offer("measure", "measure", named(measures(of)), state.measure, (measure) => change({ measure }));
  for (const dim of ["layer", "source", "index", "snapshot"]) {
    // the layer also chooses curves, and is offered for every measure
    if (!of.dimensions[dim] || (dim !== "layer" && !extras(of, state.measure).includes(dim))) continue;
    const smallest = dim === "source" && of.has(state.measure, "layer") ? [[SMALLEST, "smallest over all"]] : [];
    const label = { source: "features of", index: "position", snapshot: "after epochs" }[dim] ?? dim;
    const space = (text) => (text === "0" ? "z0, inputs" : `z${text}`);
    const texts = values(dim).map((text) => [text, dim === "source" ? space(text) : text]);
    const at = choice()[dim];
    const value = at === SMALLEST ? SMALLEST : values(dim)[at];
    offer(dim, label, [...smallest, ...texts], value, (chosen) => change({ [dim]: chosen }));
  }
  if (axes.length > 2) {
    offer("y", "vertical axis", named(axes), state.y, (y) => change({ y, ...(y === state.x && { x: state.y }) }));
    offer("x", "horizontal axis", named(axes), state.x, (x) => change({ x, ...(x === state.y && { y: state.x }) }));
  }
  for (const axis of axes.filter((axis) => ![state.x, state.y].includes(axis))) {
    const all = axis === "seed" ? [[MEDIAN, `median of ${of.size("seed")}`]] : [];
    const value = axis === "seed" && overSeeds() ? MEDIAN : values(axis)[state.cell[axis]];
    offer(axis, words(axis), [...all, ...values(axis).map((text) => [text, text])], value, (chosen) => {
      if (axis === "seed") state.seeds = chosen === MEDIAN ? MEDIAN : "one";
      if (chosen !== MEDIAN) state.cell[axis] = values(axis).indexOf(chosen);
      change({});
    });
  }
  const scales = [["linear", "linear"], ["log", "logarithmic"]];
  offer("scale", "colours", scales, plane().scale, (scale) => change({ scale }));
  if (focused) node(focused)?.focus();
}
