// What a person can choose of the plane.

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
    const label = { source: "features of", index: "position", snapshot: "after epochs" }[dim] ?? dim;
    const written = (text) => (dim !== "source" ? text : text === "0" ? "z0, inputs" : `z${text}`);
    const texts = values(dim).map((text) => [text, written(text)]);
    const at = choice()[dim];
    const value = at === LEAST ? LEAST : values(dim)[at];
    offer(dim, label, [...least, ...texts], value, (chosen) => wish({ [dim]: chosen }));
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
