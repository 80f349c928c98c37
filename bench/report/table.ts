/** The report for a terminal. */

import Table from "cli-table3";
import type { BenchCase } from "../case.js";
import type { Change } from "../compare.js";
import { format, METRICS } from "../measure.js";
import { CaseFigures, type MarkOutcome, noisyTrials, type Results } from "../results.js";
import { caseRows, formatMark, machineLines, shownMetrics, skipLines } from "./rows.js";

/** No colours, which files and pipes would keep, and no lines between rows. */
const PLAIN = {
  style: { head: [], border: [], compact: true },
};

function caseTable(scenario: BenchCase, figures: CaseFigures): string {
  const metrics = shownMetrics(scenario, figures);
  const table = new Table({
    ...PLAIN,
    head: ["", "peer", "× LXCFS", "× host", ...metrics.map((metric) => METRICS[metric].label)],
    colAligns: [
      "left",
      "left",
      ...Array.from({ length: metrics.length + 2 }, () => "right" as const),
    ],
  });
  for (const row of caseRows(scenario, figures)) {
    const series = row.first ? row.series : "";
    table.push([series, row.peer, row.toLxcfs, row.toHost, ...row.figures]);
  }
  return table.toString();
}

function marksTable(outcomes: readonly MarkOutcome[]): string {
  const table = new Table({ ...PLAIN, head: ["mark", "at most", "measured", ""] });
  for (const { mark, value, verdict } of outcomes) {
    const measured = value === undefined ? "–" : formatMark(mark, value);
    table.push([mark.title, formatMark(mark, mark.limit), measured, verdict]);
  }
  return table.toString();
}

export function changesTable(changes: readonly Change[]): string {
  const table = new Table({
    ...PLAIN,
    head: ["case", "peer", "", "", "before", "now", "ratio", ""],
  });
  for (const { case: name, peer, series, metric, before, after, ratio, worse } of changes) {
    table.push([
      name,
      peer,
      series,
      METRICS[metric].label,
      format(metric, before.median),
      format(metric, after.median),
      Number.isFinite(ratio) ? ratio.toFixed(2) : "–",
      worse ? "worse" : "better",
    ]);
  }
  return table.toString();
}

/** Everything that was measured, ratios first. */
export function reportText(
  results: Results,
  cases: readonly BenchCase[],
  outcomes: readonly MarkOutcome[],
): string {
  const parts = [machineLines(results).join("\n")];
  for (const scenario of cases) {
    const figures = new CaseFigures(results, scenario.name);
    if (figures.peers().length > 0) {
      parts.push(
        `${scenario.title} (${scenario.name})\n${scenario.about}`,
        caseTable(scenario, figures),
      );
    }
  }
  parts.push(skipLines(results).join("\n"));
  if (outcomes.length > 0) {
    parts.push("Marks", marksTable(outcomes));
  }
  const noisy = noisyTrials(results);
  if (noisy > 0) {
    parts.push(
      `The machine was busy with other things before ${noisy} of ${results.trials.length} trials: figures are worse than they should be.`,
    );
  }
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}
