#!/usr/bin/env node
// Draws docs/before-after.svg: `free -m` and `top` of one limited container, without vprocfs and with
// it. What it shows is a real run on this machine: a container is made as the demo makes it, and the
// same programs run in it twice. Needs root, procps and `node packaging/setup.mjs test`.
//
//   node docs/picture.mjs

import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const load = (name) => import(join(project, "build/modules", name));

const MIB = 2 ** 20;
const LIMITS = { memoryBytes: 256 * MIB, swapBytes: 128 * MIB, cpus: 1 };
/** Lines of `top`: its summary, a blank line, the heading, and the processes that are worth a line. */
const TOP_LINES = 11;
/** How long the container runs before it is looked at with vprocfs, so that it has a load. */
const SETTLE_SECONDS = 40;
const MARK = "@@@";

/** A process that holds 96 MiB and one that computes; then the programs, before and after. */
const SHOW = `
export LC_ALL=C COLUMNS=80 HOME=/nonexistent
show() {
  echo "${MARK}$ free -m"; free -m
  echo "${MARK}$ grep -c processor /proc/cpuinfo"; grep -c processor /proc/cpuinfo
  echo "${MARK}$ top"; top -b -n 2 -d 2 -o %MEM
  echo "${MARK}"
}
{ head -c 96M /dev/zero; sleep 3600; } | tail >/dev/null &
while :; do :; done &
until [ "$(awk '/^VmRSS/ { print ($2 > 96 * 1024) }' /proc/$(pgrep -n tail)/status)" = 1 ]; do sleep 0.1; done
`;

/** The load is sampled while somebody reads it. */
const SETTLE = `for i in $(seq ${SETTLE_SECONDS}); do cat /proc/loadavg >/dev/null; sleep 1; done`;

/** What a run printed, as [command, lines] pairs. */
function screens(output) {
  return output
    .split(MARK)
    .filter((part) => part.startsWith("$"))
    .map((part) => {
      const [command = "", ...lines] = part.trimEnd().split("\n");
      return [command, command === "$ top" ? lastScreen(lines) : lines];
    });
}

/** The second screen of `top`: its first one has no time to compare with. */
function lastScreen(lines) {
  const begin = lines.findLastIndex((line) => line.startsWith("top - "));
  return lines.slice(begin, begin + TOP_LINES);
}

const escaped = (text) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const FONT = 13;
const LINE = 18;
const WIDTH = 700;
const MARGIN = 16;

/** A window with a title and lines; returns the SVG and its height. */
function terminal(title, lines, y, accent) {
  const height = (lines.length + 1) * LINE + 2 * MARGIN;
  const rows = lines.map(([kind, text], index) => {
    const at = y + MARGIN + (index + 2) * LINE - 4;
    return `<text x="${MARGIN}" y="${at}" class="${kind}" xml:space="preserve">${escaped(text)}</text>`;
  });
  const svg = [
    `<rect x="0.5" y="${y + 0.5}" width="${WIDTH - 1}" height="${height - 1}" rx="6" class="window"/>`,
    `<rect x="0.5" y="${y + 0.5}" width="5" height="${height - 1}" rx="2" fill="${accent}"/>`,
    `<text x="${MARGIN}" y="${y + MARGIN + 10}" class="title" style="fill: ${accent}">${escaped(title)}</text>`,
    ...rows,
  ].join("\n");
  return { svg, height };
}

/** Lines that tell the size of the machine stand out. */
function kindOf(line) {
  return /^(Mem:|Swap:|MiB |%Cpu|top - |\d+$)/.test(line) ? "figure" : "plain";
}

function linesOf(pairs) {
  return pairs.flatMap(([command, lines]) => [
    ["prompt", command],
    ...lines.map((line) => [kindOf(line), line.trimEnd()]),
  ]);
}

function draw(before, after) {
  const one = terminal("In a container, without vprocfs", linesOf(before), 0, "#fb923c");
  const title = "In the same container, with vprocfs: 256 MiB and 1 CPU";
  const two = terminal(title, linesOf(after), one.height + 12, "#4ade80");
  const height = one.height + two.height + 12;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="free and top in a container, without and with vprocfs">
<!-- Made by docs/picture.mjs from a run on ${new Date().toISOString().slice(0, 10)}. -->
<style>
text { font: ${FONT}px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #d4d4d8; }
.window { fill: #18181b; stroke: #3f3f46; }
.title { font-family: system-ui, sans-serif; font-weight: 600; }
.prompt { fill: #a1a1aa; }
.figure { fill: #fde68a; }
</style>
${one.svg}
${two.svg}
</svg>
`;
}

async function main() {
  const { createCgroups } = await load("demo-cgroups.js");
  const { BIND_TREE, runInit } = await load("demo-container.js");
  const { findTree } = await load("demo-tree.js");
  const { readMounts } = await load("mountinfo.js");
  const name = `vprocfs-picture-${process.pid}`;
  const abort = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => abort.abort(new Error("interrupted")));
  }
  const cgroups = await createCgroups(name, LIMITS, readMounts());
  try {
    const tree = await findTree(name, abort.signal);
    try {
      const script = `${SHOW}\nshow\n${BIND_TREE}\n${SETTLE}\nshow\n`;
      const output = await runInit(cgroups.directories, script, [tree.path], abort.signal);
      const shown = screens(output);
      const half = shown.length / 2;
      writeFileSync(
        join(project, "docs/before-after.svg"),
        draw(shown.slice(0, half), shown.slice(half)),
      );
      console.log(output.replaceAll(MARK, ""));
    } finally {
      await tree.release();
    }
  } finally {
    await cgroups.remove();
  }
}

await main();
