// The page: puts all of it together, each second.

const INTERVAL_MS = 1000;

const charts = CHARTS.map((description) => new Chart(description));
for (const table of TABLES) {
  table.body = html("tbody");
  const head = table.head ? [html("thead", {}, html("tr", {}, ...table.head.map((text) => html("th", { scope: "col" }, text))))] : [];
  byId("totals").append(html("div", {}, html("h3", {}, table.title), html("table", {}, ...head, table.body)));
}
byId("charts").append(...charts.map((chart) => chart.root));

let lastKind = null;

function show() {
  const now = Date.now();
  const { kind, level, text } = points.length > 0 ? verdict(now) : {};
  if (text === undefined) return;
  setText(byId("verdict"), text);
  byId("verdict").className = level;
  if (kind !== lastKind) setText(byId("announcement"), text);
  lastKind = kind;
  document.body.classList.toggle("gone", gone !== null);
  document.title = gone ? "gone: speicher" : `${compact.format(points.at(-1).operations ?? 0)}/s: speicher`;
  // What nobody sees is not drawn.
  if (document.hidden) return;
  charts.forEach((chart) => chart.draw(now));
  byId("quiet").hidden = events.length > 0;
  fill(byId("events").tBodies[0], events.map(rowOf));
  if (latest !== null) {
    setText(byId("identity"), identity(latest));
    TABLES.forEach((table) => fill(table.body, table.rows(latest)));
  }
}

function rowOf({ what, first, last, count }) {
  const when = clock(first) === clock(last) ? clock(first) : `${clock(first)} to ${clock(last)}`;
  return [when, count > 0 ? `${plural(count, "connection")} ${what}` : what];
}

function identity(reading) {
  const { version, model } = reading.samples.get("speicher_info")[0].labels;
  const up = reading.time / 1000 - reading.sum("process_start_time_seconds");
  return `version ${version}, ${model} model${up >= 0 ? `, up ${duration(up)}` : ""}`;
}

async function readOnAndOn() {
  const begun = Date.now();
  try {
    await read().then(take, lose);
    points = points.filter((point) => point.time > Date.now() - KEPT_MS);
    show();
  } finally {
    setTimeout(readOnAndOn, Math.max(0, begun + INTERVAL_MS - Date.now()));
  }
}

document.addEventListener("visibilitychange", show);
readOnAndOn();
