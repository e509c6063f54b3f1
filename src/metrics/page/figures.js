// Figures and names as people read them.

const COMMANDS = { get: "GET", set: "SET", delete: "DEL", reset: "RST", invalid: "invalid" };
const REFUSALS = {
  all_busy: "all places were taken",
  queue_full: "too many waited for a worker",
  too_many: "as many connections as --connections-max were open",
  no_descriptors: "the process has no file descriptor left",
  stopping: "the server was stopping",
};
const ENDS = {
  stopping: "the server was stopping",
  cut_off: "replies not read before the server stopped",
  idle: "silent for longer than --idle-timeout",
  evicted: "silent, and others waited for a place",
  frame_timeout: "a frame took longer than --frame-timeout",
  write_timeout: "replies not read within --write-timeout",
  out_of_step: "what the peer sent was no frame",
  no_memory: "there was no memory for it",
  store_lost: "the store was lost",
  panicked: "serving it panicked, which is a bug",
  io: "the socket failed",
};

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const threeDigits = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

const count = (number) => (number < 10 ? tenths : grouped).format(number);
const age = (ms) => (ms % 60_000 ? `${ms / 1000} s` : `${ms / 60_000} min`);
const percent = (share) => (share > 0 && share < 0.01 ? "less than 1 %" : `${Math.floor(share * 100)} %`);
const bytes = (number) => scaled(number, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
const time = (seconds) => scaled(seconds * 1e9, 1000, ["ns", "µs", "ms", "s"]);

function scaled(number, step, units) {
  let unit = 0;
  while (number >= step && unit < units.length - 1) [number, unit] = [number / step, unit + 1];
  return `${threeDigits.format(number)} ${units[unit]}`;
}

function plural(number, one, many = `${one}s`) {
  return number === 1 ? `1 ${one}` : `${grouped.format(number)} ${many}`;
}

function duration(seconds) {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const from = Math.max(0, parts.findIndex(([size]) => seconds >= size));
  const shown = parts.slice(seconds < 1 ? 3 : from).slice(0, 2);
  return shown.map(([size, unit], i) => `${Math.floor((i ? seconds % shown[0][0] : seconds) / size)} ${unit}`).join(" ");
}

function clock(time) {
  const date = new Date(time);
  const isToday = date.toDateString() === new Date().toDateString();
  return (isToday ? "" : `${date.toLocaleDateString("en-GB")} `) + date.toLocaleTimeString("en-GB");
}
