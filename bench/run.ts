/** `npm run bench`: vprocfs and its peers, measured in the same run. */

import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import type { BenchCase, Scale } from "./case.js";
import { CASES } from "./cases/index.js";
import { compare, machineDifferences } from "./compare.js";
import { changesTable, reportText } from "./report/table.js";
import { judge, loadResults, newResults, type Results, saveResults } from "./results.js";
import { runCases } from "./runner.js";
import { machineFacts } from "./support/machine.js";
import { projectDirectory } from "./support/paths.js";
import { PEER_NAMES, type PeerName } from "./support/peers/peer.js";
import { buildPrograms } from "./support/programs.js";
import { sweep } from "./support/sweep.js";

interface Options {
  readonly case?: readonly BenchCase[];
  readonly peer?: readonly PeerName[];
  readonly quick?: true;
  readonly trials?: number;
  readonly patience: number;
  readonly favour?: true;
  readonly cli: string;
  readonly out?: string;
  readonly html?: string;
  readonly compare?: string;
  readonly show?: string;
  readonly list?: true;
}

/** Exit status of a run in which something failed. Missed marks and changes are no failures. */
const FAILED = 1;
/** Exit status of a wrong command line, as of all commands. */
const WRONG_USAGE = 2;

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

function caseArgument(value: string, previous: readonly BenchCase[] = []): BenchCase[] {
  const found = CASES.find(({ name }) => name === value);
  if (found === undefined) {
    throw new InvalidArgumentError(`There are ${CASES.map(({ name }) => name).join(", ")}.`);
  }
  return [...previous, found];
}

function peerArgument(value: string, previous: readonly PeerName[] = []): PeerName[] {
  const found = PEER_NAMES.find((name) => name === value);
  if (found === undefined) {
    throw new InvalidArgumentError(`There are ${PEER_NAMES.join(", ")}.`);
  }
  return [...previous, found];
}

function numberArgument(value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 0) {
    throw new InvalidArgumentError("Not a whole number.");
  }
  return number;
}

function program(): Command {
  return new Command("vprocfs bench")
    .description("Measures vprocfs and its peers on this machine. Needs root and a C++ compiler.")
    .helpOption("-h, --help", "print this help")
    .option("--case <NAME>", "only this scenario; may be repeated", caseArgument)
    .option("--peer <NAME>", "only this peer; may be repeated", peerArgument)
    .option("--quick", "a short run, about 5 minutes")
    .option(
      "--trials <N>",
      "trials of each peer, instead of what each scenario wants",
      numberArgument,
    )
    .option(
      "--patience <SECONDS>",
      "wait this long before a trial for a quiet machine",
      numberArgument,
      0,
    )
    .option("--favour", "give daemons and readers the highest priority, for a busy machine")
    .addOption(
      new Option("--cli <PATH>", "the vprocfs to measure").default(
        join(projectDirectory(), "dist", "cli.js"),
        "the one beside this",
      ),
    )
    .option("--out <FILE>", "where the results go as JSON (default: bench/results/<time>.json)")
    .option(
      "--html <FILE>",
      "where the report goes (default: beside the JSON); only in a checkout of vprocfs",
    )
    .option("--compare <FILE>", "list what differs from these earlier results")
    .option("--show <FILE>", "measure nothing, report on these results")
    .option("--list", "list scenarios and peers, and exit");
}

function list(): void {
  for (const { name, title, about, peers } of CASES) {
    process.stdout.write(`${name}: ${title}. ${about}\n    ${peers.join(", ")}\n`);
  }
}

function stampedFile(started: string): string {
  const stamp = started.replaceAll(":", "-").replace(/\..*/, "");
  return join(projectDirectory(), "bench", "results", `${stamp}.json`);
}

/** Measures. After Ctrl-C it returns what has been measured so far. */
async function measure(options: Options, cases: readonly BenchCase[]): Promise<Results> {
  if (process.getuid?.() !== 0) {
    throw new Error("root is needed to make containers and mounts");
  }
  for (const leftover of await sweep()) {
    say(`removed ${leftover}, left by an earlier run`);
  }
  const scale: Scale = options.quick === true ? "quick" : "full";
  const started = new Date().toISOString();
  const favoured = options.favour === true;
  const results = newResults({ scale, favoured, started, machine: machineFacts() });
  const abort = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      say("ending: what was made is removed first");
      abort.abort();
      process.exitCode = FAILED;
    });
  }
  const began = Date.now();
  const { trials, patience } = options;
  await runCases(
    {
      cases,
      peers: options.peer ?? PEER_NAMES,
      scale,
      trials,
      cli: resolve(options.cli),
      patience,
      favoured,
      programs: buildPrograms(),
      progress: say,
      signal: abort.signal,
    },
    results,
  );
  return { ...results, seconds: (Date.now() - began) / 1000 };
}

/** Undefined if the packages that draw the charts are not installed: only a checkout has them. */
async function htmlReporter(): Promise<typeof import("./report/html.js") | undefined> {
  try {
    return await import("./report/html.js");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND") {
      return undefined;
    }
    throw error;
  }
}

async function report(
  options: Options,
  results: Results,
  cases: readonly BenchCase[],
): Promise<void> {
  const outcomes = judge(results, cases);
  const json = resolve(options.show ?? options.out ?? stampedFile(results.started));
  if (options.show === undefined) {
    saveResults(json, results);
    say(`results: ${json}`);
  }
  process.stdout.write(reportText(results, cases, outcomes));
  const html = await htmlReporter();
  if (html === undefined) {
    say(`no HTML report here; in a checkout of vprocfs: npm run bench -- --show ${json}`);
    return;
  }
  const page = resolve(options.html ?? `${json.replace(/\.json$/, "")}.html`);
  mkdirSync(dirname(page), { recursive: true });
  writeFileSync(page, html.reportHtml(results, cases, outcomes));
  say(`report: ${page}`);
}

function reportChanges(before: Results, after: Results, cases: readonly BenchCase[]): void {
  const differences = machineDifferences(before, after);
  const changes = compare(before, after, cases);
  const warning = differences.map((line) => `not the same: ${line}\n`).join("");
  const table =
    changes.length === 0
      ? "nothing differs beyond the spread"
      : `What differs beyond the spread\n\n${changesTable(changes)}`;
  process.stdout.write(`\n${warning}${table}\n`);
}

async function main(): Promise<void> {
  const command = program()
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : WRONG_USAGE))
    .parse();
  const options = command.opts<Options>();
  if (options.list === true) {
    list();
    return;
  }
  if (options.compare !== undefined && !existsSync(options.compare)) {
    throw new Error(`${options.compare}: not there`);
  }
  const before = options.compare === undefined ? undefined : loadResults(options.compare);
  const cases = options.case ?? CASES;
  const results =
    options.show === undefined ? await measure(options, cases) : loadResults(options.show);
  await report(options, results, cases);
  if (before !== undefined) {
    reportChanges(before, results, cases);
  }
  if (results.skips.some(({ failed }) => failed)) {
    process.exitCode = FAILED;
  }
}

// If the reader goes away (`| head`) or there is no room for the text, the measurement continues.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") {
    say(`bench: cannot write to stdout: ${error.message}`);
    process.exitCode = FAILED;
  }
});
process.stderr.on("error", () => undefined);
try {
  await main();
} catch (error) {
  say(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = FAILED;
}
