// The charts of the last five minutes.

/**
 * What each chart shows. `key` names a figure of a point. An area stands on those before it, a line on the bottom; a
 * limit is dashed, and a mark is at the bottom where the figure is not 0.
 */
const CHARTS = [
  {
    title: "Operations a second",
    format: count,
    axis: linear,
    series: [
      ...Object.entries(COMMANDS).map(([key, name], i) => ({ key, name, tone: `--c${i}`, shape: "area" })),
      { key: "unavailable", name: "503", tone: "--bad", shape: "mark" },
    ],
  },
  {
    title: "Latency of a batch in the server",
    note: "From its requests decoded to its replies encoded: neither the network nor the wait before is in it. Read from a "
      + "histogram whose buckets double, so right to a factor of two. Of many batches, some are measured.",
    format: time,
    axis: decades,
    series: [
      { key: "p50", name: "p50", tone: "--c0", shape: "line" },
      { key: "p99", name: "p99", tone: "--c1", shape: "line" },
      { key: "p999", name: "p99.9", tone: "--c2", shape: "line" },
    ],
  },
  {
    title: "Connections",
    format: count,
    axis: linear,
    series: [
      { key: "connections", name: "open", tone: "--c0", shape: "area" },
      { key: "waiting", name: "waiting", tone: "--c1", shape: "line" },
      { key: "refused", name: "refused", tone: "--bad", shape: "mark" },
    ],
  },
  {
    title: "Memory",
    format: bytes,
    axis: upToCeiling,
    series: [
      { key: "buffers", name: "buffers", tone: "--c1", shape: "area" },
      { key: "entries", name: "entries", tone: "--c0", shape: "area" },
      { key: "ceiling", name: "ceiling", tone: "--bad", shape: "limit" },
    ],
  },
];

/** How far back the reader looks with pointer or arrow keys, in ms; null for now. */
let back = null;

function lookBack(age) {
  back = age === null ? null : Math.min(shownMs(Date.now()), Math.max(0, age));
  show();
}

/** How much time the charts show: one minute, and five when there is more to show. */
function shownMs(now) {
  return points.length > 0 && now - points[0].time > MINUTE_MS ? KEPT_MS : MINUTE_MS;
}

class Chart {
  constructor({ title, note, format, axis, series }) {
    this.format = format;
    this.axis = axis;
    this.series = series.map((one) => ({ ...one, ...elementsOf(one) }));
    this.ticks = html("div", { "aria-hidden": true });
    this.when = html("span");
    this.cursor = html("div", { class: "cursor" }, this.when);
    const drawing = svg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": true });
    // Each area reaches down to 0, so the lower ones are drawn over the others.
    for (const { fill, line, shape } of this.series) {
      if (shape === "area") drawing.prepend(fill, line);
      else drawing.append(line);
    }
    this.ages = html("div", { "aria-hidden": true });
    const label = `${title} over the last minutes. The arrow keys look back.`;
    const plot = html("div", { class: "plot", role: "img", tabindex: 0, "aria-label": label },
      this.ticks, drawing, this.cursor, this.ages);
    listen(plot);
    this.root = html("figure", {}, html("h2", {}, title), plot,
      html("dl", { class: "legend" }, ...this.series.map(({ item }) => item)),
      html("p", { class: "faint" }, note ?? ""));
  }

  draw(now) {
    const heights = this.series.map((one, i) => heightOf(one, this.series.slice(0, i)));
    const drawn = heights.filter((_, i) => ["area", "line"].includes(this.series[i].shape));
    const axis = this.axis(drawn.flatMap((height) => points.map(height)).filter((value) => value > 0));
    const shown = shownMs(now);
    const x = (point) => (100 * (1 - (now - point.time) / shown)).toFixed(2);
    const y = (value) => (100 * (1 - axis.place(value))).toFixed(2);
    this.series.forEach((one, i) => drawSeries(one, heights[i], x, y));
    this.ticks.replaceChildren(...axis.ticks.map(([value, label]) =>
      html("div", { class: "tick", style: `top: ${y(value)}%` }, html("span", {}, label))));
    this.ages.replaceChildren(...[5, 4, 3, 2, 1, 0].map((fifths) =>
      html("span", { class: "when", style: `left: ${100 - 20 * fifths}%` }, fifths ? `−${age(shown * fifths / 5)}` : "now")));
    this.tell(now);
  }

  /** Puts the figures of the moment that the reader looks at beside the names of the series. */
  tell(now) {
    const point = pointAt(now);
    for (const { key, item, figure } of this.series) {
      setText(figure, point?.[key] == null ? "–" : this.format(point[key]));
      item.hidden = points.every((other) => other[key] === undefined);
    }
    this.root.hidden = this.series.every(({ item }) => item.hidden);
    this.cursor.hidden = back === null;
    this.ages.hidden = back !== null;
    const left = 100 * (1 - (back ?? 0) / shownMs(now));
    this.cursor.style.left = `${left}%`;
    this.when.style.transform = `translateX(-${left}%)`;
    setText(this.when, clock(now - back));
  }
}

function elementsOf({ name, tone, shape }) {
  const style = `--tone: var(${tone})`;
  const figure = html("dd");
  return {
    figure,
    item: html("div", { style }, html("dt", {}, name), figure),
    fill: svg("path", { class: "fill", style }),
    line: svg("path", { class: shape, style }),
  };
}

function listen(plot) {
  const pointed = ({ clientX }) => {
    const { left, width } = plot.getBoundingClientRect();
    lookBack((1 - (clientX - left) / width) * shownMs(Date.now()));
  };
  plot.addEventListener("pointermove", pointed);
  plot.addEventListener("pointerdown", pointed);
  plot.addEventListener("pointerleave", () => lookBack(null));
  plot.addEventListener("blur", () => lookBack(null));
  plot.addEventListener("keydown", ({ key }) => {
    if (key === "ArrowLeft") lookBack((back ?? 0) + 1000);
    if (key === "ArrowRight") lookBack((back ?? 0) - 1000);
    if (key === "Escape") lookBack(null);
  });
}

/** What gives the height of a series at a point; undefined where there is none. */
function heightOf({ key, shape }, before) {
  const below = shape === "area" ? before.filter((one) => one.shape === "area") : [];
  return (point) => point[key] == null ? undefined : below.reduce((sum, one) => sum + (point[one.key] ?? 0), point[key]);
}

/** Draws a series, in pieces where points have none of its figures. */
function drawSeries({ shape, fill, line }, height, x, y) {
  if (shape === "mark") {
    const marked = points.filter((point) => height(point) > 0);
    return line.setAttribute("d", marked.map((point) => `M${x(point)} 100V94`).join(""));
  }
  const pieces = [[]];
  for (const point of points) {
    if (height(point) === undefined) pieces.push([]);
    else pieces.at(-1).push(point);
  }
  const drawn = pieces.filter((piece) => piece.length > 0);
  const trace = (piece) => `M${piece.map((point) => `${x(point)} ${y(height(point))}`).join("L")}`;
  // A piece of one point is a dot.
  line.setAttribute("d", drawn.map((piece) => `${trace(piece)}h0`).join(""));
  if (shape === "area") fill.setAttribute("d", drawn.map((piece) => `${trace(piece)}V100H${x(piece[0])}Z`).join(""));
}

/** The point that the reader looks at; undefined if there is none within 2 s of it. */
function pointAt(now) {
  if (back === null) return points.at(-1);
  const distance = (point) => Math.abs(point.time - (now - back));
  const nearest = points.toSorted((a, b) => distance(a) - distance(b))[0];
  return nearest && distance(nearest) < 2000 ? nearest : undefined;
}
