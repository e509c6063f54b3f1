"use strict";
// Reading: what /metrics says, and what has happened between two readings.
//
// Each second the page reads /metrics, the text that Prometheus reads too. Everything else follows from differences.
// Whatever comes from the server gets into the page by textContent alone.

const MINUTE_MS = 60_000;

/** What /metrics said at one time: its samples, by name. */
class Reading {
  constructor(text, time) {
    this.time = time;
    this.samples = new Map();
    for (const line of text.split("\n")) {
      const [, name, labels, value] = line.match(/^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/) ?? [];
      if (name === undefined) continue;
      if (!this.samples.has(name)) this.samples.set(name, []);
      this.samples.get(name).push({ labels: labelsOf(labels ?? ""), value: numberOf(value) });
    }
    if (!this.samples.has("speicher_info")) throw new Error("what it answers is not speicher’s metrics");
  }

  /** The sum of the samples with this name and these labels; undefined if the server has no such metric. */
  sum(name, labels = {}) {
    const samples = this.samples.get(name);
    const fits = (sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value);
    return samples?.filter(fits).reduce((sum, sample) => sum + sample.value, 0);
  }

  /** The values that this label of the metric has. */
  labelled(name, label) {
    return [...new Set((this.samples.get(name) ?? []).map((sample) => sample.labels[label]))];
  }

  /** Whether this reading and an earlier one are of two runs of the server: something fell that only grows. */
  isOfAnotherRun(before) {
    const grows = [...this.samples.keys()].filter((name) => name.endsWith("_total") || name.endsWith("_count"));
    const started = (reading) => reading.sum("process_start_time_seconds") ?? 0;
    return Math.abs(started(this) - started(before)) > 1.5 || grows.some((name) => this.sum(name) < before.sum(name));
  }
}

function labelsOf(text) {
  const pairs = text.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g);
  const plain = (value) => value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
  return Object.fromEntries([...pairs].map(([, label, value]) => [label, plain(value)]));
}

function numberOf(text) {
  return Number(text.replace("Inf", "Infinity"));
}

/** How much a counter has grown between two readings; all of it if there is no earlier one. */
function growth(before, after, name, labels) {
  return Math.max(0, (after.sum(name, labels) ?? 0) - (before?.sum(name, labels) ?? 0));
}

/**
 * The quantile of what a histogram has counted between two readings, estimated within its bucket as Prometheus
 * does; null if nothing was counted.
 */
function quantile(before, after, name, q) {
  const bounds = after.labelled(`${name}_bucket`, "le");
  const buckets = bounds.map((le) => ({ bound: numberOf(le), count: growth(before, after, `${name}_bucket`, { le }) }));
  buckets.sort((a, b) => a.bound - b.bound);
  const rank = q * (buckets.at(-1)?.count ?? 0);
  if (rank === 0) return null;
  const at = buckets.findIndex((bucket) => bucket.count >= rank);
  const below = buckets[at - 1] ?? { bound: 0, count: 0 };
  if (buckets[at].bound === Infinity) return below.bound;
  const share = (rank - below.count) / (buckets[at].count - below.count);
  return below.bound + share * (buckets[at].bound - below.bound);
}
