// What the page knows: the last reading, a point for each second of the charts, and what happened.

const TIMEOUT_MS = 5000;
const KEPT_MS = 5 * 60_000;
const EVENTS_MAX = 30;

/** The last reading, if the server has ever answered. */
let latest = null;
/** Why there is no newer one, and since when: null while the server answers. */
let gone = null;
/** A point for each attempt to read, the oldest first, for as long as the charts show. */
let points = [];
/** What happened, the latest first: refusals, ends, and the server's comings and goings. */
let events = [];

async function read() {
  const response = await fetch("metrics", { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error(`it answers ${response.status}`);
  return new Reading(await response.text(), Date.now());
}

function take(reading) {
  const isNew = latest === null;
  const isOtherRun = !isNew && reading.isOfAnotherRun(latest);
  const isAfterGap = gone !== null || isOtherRun;
  if (isAfterGap && !isNew) note(isOtherRun ? "The server was started again" : "The server answers again", reading.time);
  if (!isNew) noteEnds(isOtherRun ? null : latest, reading);
  points.push(pointOf(isAfterGap ? null : latest, reading));
  latest = reading;
  gone = null;
}

function lose(error) {
  if (gone === null && latest !== null) note("The server stopped answering", Date.now());
  const isSilent = error.name === "TimeoutError" || error.name === "TypeError";
  gone ??= { since: latest?.time ?? Date.now() };
  gone.why = isSilent ? null : error.message;
  points.push({ time: Date.now() });
}

/** The figures of one moment. Rates need an earlier reading. */
function pointOf(before, after) {
  const point = {
    time: after.time,
    connections: after.sum("speicher_connections"),
    waiting: after.sum("speicher_connections_waiting"),
    entries: after.sum("speicher_entries_bytes"),
    buffers: after.sum("speicher_buffers_bytes"),
    used: after.sum("speicher_memory_used_bytes"),
    ceiling: after.sum("speicher_memory_max_bytes"),
  };
  const seconds = (after.time - before?.time) / 1000;
  // A clock that was set back makes no rate.
  if (!(seconds > 0.1)) return point;
  const grown = (name, labels) => growth(before, after, `speicher_${name}_total`, labels);
  for (const command of Object.keys(COMMANDS)) point[command] = grown("requests", { command }) / seconds;
  point.operations = grown("requests") / seconds;
  point.unavailable = grown("requests", { status: "503" });
  point.entriesRefused = grown("requests", { command: "set", status: "503" });
  point.refused = grown("connections_refused");
  point.accepted = grown("connections_accepted");
  for (const [name, q] of [["p50", 0.5], ["p99", 0.99], ["p999", 0.999]]) {
    point[name] = quantile(before, after, "speicher_batch_seconds", q);
  }
  return point;
}

function noteEnds(before, after) {
  const kinds = [
    ["speicher_connections_refused_total", "reason", REFUSALS, "refused"],
    ["speicher_connections_ended_total", "end", ENDS, "ended"],
  ];
  for (const [name, label, words, what] of kinds) {
    for (const value of after.labelled(name, label)) {
      const count = growth(before, after, name, { [label]: value });
      if (count > 0 && value !== "peer_closed") note(`${what}: ${words[value] ?? value}`, after.time, count);
    }
  }
}

/** Adds connections to an event of the same kind that is not over for long, or begins one; of the server itself without. */
function note(what, time, count = 0) {
  const isSame = (event) => event.what === what && time - event.last < 10_000;
  const event = events.find(isSame) ?? { what, first: time, count: 0 };
  event.last = time;
  event.count += count;
  events = [event, ...events.filter((other) => other !== event)].slice(0, EVENTS_MAX);
}
