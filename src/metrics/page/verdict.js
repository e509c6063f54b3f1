// The sentence that the page begins with.

/** How the server is, in a sentence. `kind` says when it is worth to be read aloud again. */
function verdict(now) {
  if (gone !== null) return { kind: "gone", level: "bad", text: absence(now) };
  const recent = points.slice(-5).filter((point) => point.operations !== undefined);
  if (recent.length === 0) return { kind: "good", level: "good", text: "The server answers. Rates need a second reading." };
  const rate = recent.reduce((sum, point) => sum + point.operations, 0) / recent.length;
  const isYoung = points[0].time > now - MINUTE_MS;
  const minute = points.filter((point) => point.time > now - MINUTE_MS);
  const inMinute = (key) => minute.reduce((sum, point) => sum + (point[key] ?? 0), 0);
  const [refused, unavailable] = [inMinute("refused"), inMinute("unavailable")];
  const { connections, used = 0, ceiling } = points.at(-1);
  const share = ceiling ? used / ceiling : 0;
  const parts = [
    `${work(rate)} on ${plural(connections, "connection")}`,
    memory(used, ceiling, share, inMinute("entriesRefused") > 0),
    `${refusals(refused, unavailable)} ${isYoung ? "since this page was opened" : "in the last minute"}`,
  ];
  const level = share >= NEARLY_FULL || refused > 0 || unavailable > 0 ? "warn" : "good";
  return { kind: level, level, text: `${parts.join("; ")}.` };
}

/** From here on it is worth a look: a part of the ceiling is kept for what is no entry. */
const NEARLY_FULL = 0.7;

function work(rate) {
  return rate > 0 ? `Serving ${plural(rounded(rate), "operation")} a second` : "Nothing is asked";
}

/** The number with three digits that count: what goes to and fro below them is no news. */
function rounded(number) {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(number)) - 2);
  return Math.max(1, Math.round(number / unit) * unit);
}

function memory(used, ceiling, share, areEntriesRefused) {
  if (!ceiling) return `${bytes(used)} of memory are used, without a ceiling`;
  const isFull = areEntriesRefused && share >= NEARLY_FULL;
  return isFull ? `memory is full, at ${percent(share)} of its ceiling: no more entries fit` : `memory is at ${percent(share)} of its ceiling`;
}

function refusals(refused, unavailable) {
  const who = refused > 0 ? plural(refused, "connection was", "connections were") : "nobody was";
  return `${who} refused${unavailable > 0 ? ` and ${plural(unavailable, "request")} got 503` : ""}`;
}

function absence(now) {
  const why = gone.why === null ? "" : ` (${gone.why})`;
  if (latest === null) return `The server does not answer${why}. This page goes on as soon as it does.`;
  const [since, ago] = [clock(gone.since), duration((now - gone.since) / 1000)];
  return `The server has not answered since ${since}, ${ago} ago${why}. This page goes on as soon as it does.`;
}
