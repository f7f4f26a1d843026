// Round numbers on logarithmic scales.

/** A few round numbers between two powers of ten, and how they are written. */
function decades(low, high) {
  const powers = range(Math.floor(high) - Math.floor(low) + 1).map((i) => Math.floor(low) + i);
  const inside = (value) => Math.log10(value) >= low - 1e-9 && Math.log10(value) <= high + 1e-9;
  const some = powers.filter((power) => power % Math.ceil(powers.length / 6) === 0 && inside(10 ** power));
  if (powers.length > 3 && some.length > 1) {
    const text = (power) => (power >= -2 && power <= 3 ? told(10 ** power) : `10<sup>${power}</sup>`);
    return { values: some.map((power) => 10 ** power), texts: some.map(text) };
  }
  let values = powers.flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power)).filter(inside);
  if (values.length < 3) values = evenly(10 ** low, 10 ** high);
  return { values, texts: values.map((value) => told(value, 4)) };
}

/** Some three to five round numbers between two, in even steps. */
function evenly(low, high) {
  const size = 10 ** Math.floor(Math.log10((high - low) / 3));
  const step = [5, 2, 1].map((times) => times * size).find((width) => 3 * width <= high - low);
  const first = Math.ceil(low / step);
  return range(Math.floor(high / step) - first + 1).map((i) => (first + i) * step);
}
