/** The report for a browser: one file, no script, nothing fetched. */

import type { BenchCase } from "../case.js";
import { METRICS } from "../measure.js";
import { CaseFigures, type MarkOutcome, NOISY, noisyTrials, type Results } from "../results.js";
import { charts, PEER_COLOURS } from "./charts.js";
import { caseRows, formatMark, machineLines, shownMetrics, skipLines } from "./rows.js";

const STYLE = `
  :root { color-scheme: light dark; --soft: #8884; --met: #00875a; --missed: #c4320a; }
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
  h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }
  th, td { padding: .2rem .8rem .2rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--soft); }
  th { font-weight: 600; } .text { text-align: left; } .wrap { white-space: normal; }
  .first td { border-top: 2px solid var(--soft); }
  .ratio { font-weight: 600; } .met { color: var(--met); } .missed { color: var(--missed); font-weight: 600; }
  .dot { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .4em; }
  .facts, .note { color: #888; } figure { margin: 1rem 0; overflow-x: auto; }
  svg { --plot-background: transparent !important; max-width: 100%; height: auto; }
`;

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

const escaped = (text: string): string => text.replace(/[&<>"]/g, (sign) => ESCAPES[sign] ?? sign);

const cell = (text: string, kind = ""): string =>
  `<td${kind === "" ? "" : ` class="${kind}"`}>${escaped(text)}</td>`;

const heads = (names: readonly string[], textual: number): string =>
  names.map((name, i) => `<th${i < textual ? ' class="text"' : ""}>${escaped(name)}</th>`).join("");

function marksSection(outcomes: readonly MarkOutcome[]): string {
  const rows = outcomes.map(({ mark, value, verdict }) => {
    const measured = value === undefined ? "–" : formatMark(mark, value);
    const kind = verdict === "not measured" ? "note" : verdict;
    return `<tr>${cell(mark.title, "text wrap")}${cell(formatMark(mark, mark.limit))}${cell(measured)}${cell(verdict, kind)}</tr>`;
  });
  const head = heads(["", "at most", "measured", ""], 1);
  return `<h2>Marks</h2><table><thead><tr>${head}</tr></thead><tbody>${rows.join("")}</tbody></table>`;
}

function caseTable(scenario: BenchCase, figures: CaseFigures): string {
  const metrics = shownMetrics(scenario, figures);
  const names = ["", "", "× LXCFS", "× host", ...metrics.map((metric) => METRICS[metric].label)];
  const rows = caseRows(scenario, figures).map((row) => {
    const dot = `<span class="dot" style="background:${PEER_COLOURS[row.peerName]}"></span>`;
    const cells = [
      cell(row.first ? row.series : "", "text"),
      `<td class="text">${dot}${escaped(row.peer)}</td>`,
      cell(row.toLxcfs, "ratio"),
      cell(row.toHost, "ratio"),
      ...row.figures.map((text) => cell(text)),
    ];
    return `<tr${row.first ? ' class="first"' : ""}>${cells.join("")}</tr>`;
  });
  return `<table><thead><tr>${heads(names, 2)}</tr></thead><tbody>${rows.join("")}</tbody></table>`;
}

function caseSection(scenario: BenchCase, results: Results): string {
  const figures = new CaseFigures(results, scenario.name);
  if (figures.peers().length === 0) {
    return "";
  }
  const drawn = scenario.metrics
    .filter((metric) => metric !== "failed")
    .slice(0, 3)
    .flatMap((metric) => charts(scenario, figures, metric))
    .map((svg) => `<figure>${svg}</figure>`);
  return `<h2 id="${scenario.name}">${escaped(scenario.title)}</h2><p>${escaped(scenario.about)}</p>${drawn.join("")}${caseTable(scenario, figures)}`;
}

export function reportHtml(
  results: Results,
  cases: readonly BenchCase[],
  outcomes: readonly MarkOutcome[],
): string {
  const facts = machineLines(results).map((line) => `<div>${escaped(line)}</div>`);
  const noisy = noisyTrials(results);
  const warning =
    noisy === 0
      ? ""
      : `<p class="missed">Before ${noisy} of ${results.trials.length} trials more than ${NOISY * 100} % of the machine was busy with other things.</p>`;
  const skips = skipLines(results).map((line) => `<p class="note">${escaped(line)}</p>`);
  const sections = cases.map((scenario) => caseSection(scenario, results));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>vprocfs benchmark</title>
<style>${STYLE}</style>
</head>
<body>
<h1>vprocfs benchmark</h1>
<div class="facts">${facts.join("")}</div>
${warning}
<p>Figures are medians over trials, each in a process of its own, with first and third quartile.
Ratios are made trial by trial, between trials that ran one after the other; below 1 is less.</p>
${outcomes.length === 0 ? "" : marksSection(outcomes)}
${sections.join("\n")}
${skips.join("")}
</body>
</html>
`;
}
