// The figures since the server started.

const TABLES = [
  {
    title: "Requests",
    head: ["", "all", "200", "404", "400", "503"],
    rows: (reading) => Object.entries(COMMANDS).map(([command, name]) => {
      const asked = (labels) => grouped.format(reading.sum("speicher_requests_total", { command, ...labels }) ?? 0);
      return [name, asked({}), ...["200", "404", "400", "503"].map((status) => asked({ status }))];
    }),
  },
  {
    title: "Connections",
    rows: (reading) => [
      ["accepted", grouped.format(reading.sum("speicher_connections_accepted_total") ?? 0)],
      ...countsOf(reading, "speicher_connections_refused_total", "reason", "refused", REFUSALS),
      ...countsOf(reading, "speicher_connections_ended_total", "end", "ended", { peer_closed: "closed by the peer", ...ENDS }),
    ],
  },
  {
    title: "Process",
    rows: (reading) => {
      const row = (title, format, name, ...of) => {
        const values = [name, ...of].map((name) => reading.sum(name)).filter((value) => value !== undefined);
        return values.length > of.length ? [[title, values.map(format).join(" of ")]] : [];
      };
      return [
        ...row("entries", grouped.format, "speicher_entries"),
        ...row("received", bytes, "speicher_received_bytes_total"),
        ...row("sent", bytes, "speicher_sent_bytes_total"),
        ...row("processor time", duration, "process_cpu_seconds_total"),
        ...row("resident memory", bytes, "process_resident_memory_bytes"),
        ...row("file descriptors", grouped.format, "process_open_fds", "process_max_fds"),
        ...row("workers busy", grouped.format, "speicher_workers_busy", "speicher_workers"),
        ...row("errors of the store", grouped.format, "speicher_store_errors_total"),
      ];
    },
  },
];

/** A row for each label that has counted something. */
function countsOf(reading, name, label, what, words) {
  const counts = reading.labelled(name, label).map((value) => [value, reading.sum(name, { [label]: value })]);
  return counts.filter(([, n]) => n > 0).map(([value, n]) => [`${what}: ${words[value] ?? value}`, grouped.format(n)]);
}

/** Has the body of a table show these rows. Cells stay where they are, so that they can be selected and read aloud. */
function fill(body, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, i) => {
    const row = body.rows[i] ?? body.insertRow();
    cells.forEach((text, j) => setText(row.cells[j] ?? row.insertCell(), text));
  });
}
