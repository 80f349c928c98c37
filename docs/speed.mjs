#!/usr/bin/env node
// Draws docs/speed.svg and writes the tables of README.md and docs/design/consistency.md, from results of the
// benchmark that hold the scenarios latency and cost.
//
//   npm run bench -- --case latency --case cost --out results.json
//   node docs/speed.mjs results.json

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const { CaseFigures, loadResults } = await import(join(project, "build/modules/bench-results.js"));

const FILES = ["meminfo", "stat", "cpuinfo", "uptime"];
const PEERS = [
  { name: "host", title: "the kernel's own file", colour: "#71717a" },
  { name: "lxcfs", title: "LXCFS", colour: "#fb923c" },
  { name: "exact", title: "vprocfs exact (default)", colour: "#16a34a" },
  { name: "tick", title: "vprocfs tick", colour: "#86efac" },
];
const BEGIN = "<!-- speed: written by docs/speed.mjs -->";
const END = "<!-- /speed -->";

/** Microseconds with as many digits as mean something. */
function micros(value) {
  return value < 20 ? value.toFixed(1) : value.toFixed(0);
}

function measured(figures, peer, file, metric, scale) {
  const value = figures.of(peer, file, metric);
  if (value === undefined) {
    throw new Error(`there is no ${metric} of ${file} through ${peer}: run latency and cost`);
  }
  return value / scale;
}

function table(latency, cost) {
  const rows = PEERS.map(({ name, title }) => {
    const times = FILES.map((file) => micros(measured(latency, name, file, "p50", 1000)));
    const cpu = name === "host" ? "" : micros(measured(cost, name, "meminfo", "daemonCpu", 1));
    return `| ${title} | ${times.join(" | ")} | ${cpu} |`;
  });
  return [
    `| µs, median | ${FILES.join(" | ")} | daemon's CPU time per read of meminfo |`,
    `|---|${"---|".repeat(FILES.length + 1)}`,
    ...rows,
  ].join("\n");
}

/** The times of meminfo in both contracts. */
function contracts(latency) {
  const rows = [
    ["the kernel's own", "host"],
    ["`exact`", "exact"],
    ["`tick`", "tick"],
  ].map(([title, peer]) => {
    return `| ${title} | ${micros(measured(latency, peer, "meminfo", "p50", 1000))} |`;
  });
  return ["| open, read, close of `/proc/meminfo` | µs |", "|---|---|", ...rows].join("\n");
}

const WIDTH = 700;
const LABEL = 80;
const BAR = 13;
const GAP = 20;
const LEGEND = 36;

function chart(latency, caption) {
  const values = FILES.map((file) =>
    PEERS.map(({ name }) => measured(latency, name, file, "p50", 1000)),
  );
  const scale = (WIDTH - LABEL - 60) / Math.max(...values.flat());
  const legend = PEERS.map(({ title, colour }, index) => {
    const x = LABEL + index * 155;
    return `<rect x="${x}" y="10" width="11" height="11" fill="${colour}"/><text x="${x + 16}" y="20">${title}</text>`;
  });
  const bars = FILES.flatMap((file, row) => {
    const top = LEGEND + row * (PEERS.length * BAR + GAP);
    const label = `<text x="${LABEL - 10}" y="${top + (PEERS.length * BAR) / 2 + 4}" text-anchor="end">${file}</text>`;
    return [
      label,
      ...PEERS.map(({ colour }, index) => {
        const value = values[row][index];
        const y = top + index * BAR;
        const length = Math.max(1, value * scale).toFixed(1);
        return `<rect x="${LABEL}" y="${y}" width="${length}" height="${BAR - 2}" fill="${colour}"/><text x="${(LABEL + value * scale + 5).toFixed(1)}" y="${y + 10}" class="value">${micros(value)}</text>`;
      }),
    ];
  });
  const height = LEGEND + FILES.length * (PEERS.length * BAR + GAP) + 12;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="Time to open, read and close a file, in microseconds">
<!-- Made by docs/speed.mjs. -->
<style>
text { font: 12px system-ui, sans-serif; fill: #3f3f46; }
.value { font-size: 10px; }
.caption { font-size: 11px; fill: #71717a; }
</style>
<rect width="${WIDTH}" height="${height}" rx="6" fill="#fafafa"/>
${legend.join("\n")}
${bars.join("\n")}
<text x="${LABEL}" y="${height - 6}" class="caption">${caption}</text>
</svg>
`;
}

/** Writes a table into a page, between the two marks. */
function insert(page, text) {
  const path = join(project, page);
  const [before, rest = ""] = readFileSync(path, "utf8").split(BEGIN);
  const after = rest.split(END)[1];
  if (after === undefined) {
    throw new Error(`${page} has no place for its table: ${BEGIN} … ${END}`);
  }
  writeFileSync(path, `${before}${BEGIN}\n${text}\n${END}${after}`);
}

function main(path) {
  const results = loadResults(path);
  const latency = new CaseFigures(results, "latency");
  const cost = new CaseFigures(results, "cost");
  const day = results.started.slice(0, 10);
  const caption = `µs to open, read to the end and close a file in a container: median, ${day}`;
  writeFileSync(join(project, "docs/speed.svg"), chart(latency, caption));
  insert("README.md", table(latency, cost));
  insert("docs/design/consistency.md", contracts(latency));
}

main(process.argv[2] ?? "");
