// Reads an interval log with HdrHistogram's own JavaScript reader and prints, for each tag, the count and three
// percentiles of all its histograms together. Usage: node hdr_histogram.mjs MODULES FILE
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const [modules, file] = process.argv.slice(2);
const hdr = createRequire(modules + "/")("hdr-histogram-js");
const reader = new hdr.HistogramLogReader(readFileSync(file, "utf8"));
const merged = new Map();
for (let part; (part = reader.nextIntervalHistogram()) != null; ) {
  const known = merged.get(part.tag);
  if (known) known.add(part);
  else merged.set(part.tag, part);
}
for (const [tag, all] of [...merged].sort()) {
  const at = [50, 95, 99].map((percentile) => all.getValueAtPercentile(percentile));
  console.log([tag, all.totalCount, ...at].join(" "));
}
