// Axes: where between 0, the bottom, and 1 a value stands, and which values have a line and a label.

/** From 0 to a round number. */
function linear(values) {
  const most = Math.max(2, ...values);
  const unit = 10 ** Math.floor(Math.log10(most));
  const top = unit * [1, 2, 4, 6, 8, 10].find((step) => step * unit >= most);
  return { place: (value) => value / top, ticks: [0, top / 2, top].map((value) => [value, compact.format(value)]) };
}

/** By powers of ten, for times that differ by more than one. */
function decades(values) {
  const [least, most] = values.length > 0 ? [Math.min(...values), Math.max(...values)] : [1e-5, 1e-3];
  const [from, to] = [Math.floor(Math.log10(least)), Math.ceil(Math.log10(most))];
  const exponents = Array.from({ length: Math.max(1, to - from) + 1 }, (_, i) => from + i);
  const place = (value) => (Math.log10(value) - from) / (exponents.length - 1);
  return { place, ticks: exponents.map((exponent) => [10 ** exponent, time(10 ** exponent)]) };
}

/** Up to the ceiling, unless what is used would be a line at the bottom. */
function upToCeiling(values) {
  const [most, ceiling] = [Math.max(1024, ...values), points.findLast((point) => point.ceiling !== undefined)?.ceiling];
  const top = ceiling && most > ceiling / 5 ? Math.max(ceiling, most) * 1.05 : 2 ** Math.ceil(Math.log2(most * 1.2));
  const marks = top > ceiling ? [0, ceiling / 2, ceiling] : [0, top / 2, top];
  return { place: (value) => value / top, ticks: marks.map((value) => [value, bytes(value)]) };
}
