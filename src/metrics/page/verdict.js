// The sentence that the page begins with.

/** One sentence, or a few: how the server is. `kind` says when it is worth to be read aloud again. */
function verdict(now) {
  if (gone !== null) return { kind: "gone", level: "bad", text: absence(now) };
  const sinceMinute = points.filter((point) => point.time > now - MINUTE_MS);
  const inMinute = (key) => sinceMinute.reduce((sum, point) => sum + (point[key] ?? 0), 0);
  const lately = points[0].time > now - MINUTE_MS ? "since this page was opened" : "in the last minute";
  const recent = points.slice(-5).filter((point) => point.operations !== undefined);
  if (recent.length === 0) return { kind: "good", level: "good", text: "The server answers. Rates need a second reading." };
  const rate = recent.reduce((sum, point) => sum + point.operations, 0) / recent.length;
  const { connections, used = 0, ceiling } = points.at(-1);
  const share = ceiling ? used / ceiling : 0;
  const [refused, unavailable] = [inMinute("refused"), inMinute("unavailable")];
  const parts = [
    (rate > 0 ? `Serving ${plural(rounded(rate), "operation")} a second` : "Nothing is asked")
      + ` on ${plural(connections, "connection")}`,
    ceiling ? `memory is at ${percent(share)} of its ceiling` : `${bytes(used)} of memory are used, without a ceiling`,
    (refused > 0 ? plural(refused, "connection was", "connections were") : "nobody was") + " refused"
      + (unavailable > 0 ? ` and ${plural(unavailable, "request")} got 503` : "") + ` ${lately}`,
  ];
  const level = share >= 0.9 || refused > 0 || unavailable > 0 ? "warn" : "good";
  return { kind: level, level, text: `${parts.join("; ")}.` };
}

function absence(now) {
  const why = gone.why === null ? "" : ` (${gone.why})`;
  if (latest === null) return `The server does not answer${why}. This page goes on as soon as it does.`;
  const [since, ago] = [clock(gone.since), duration((now - gone.since) / 1000)];
  return `The server has not answered since ${since}, ${ago} ago${why}. This page goes on as soon as it does.`;
}

/** The number with two digits that count, or three: what goes to and fro below them is no news. */
function rounded(number) {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(number)) - 2);
  return Math.max(1, Math.round(number / unit) * unit);
}
