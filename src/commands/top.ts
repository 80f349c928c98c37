import { once } from "node:events";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { fitted } from "../columns.js";
import { GivenNames } from "../containers/given-names.js";
import { VprocfsError } from "../errors.js";
import { askFigures } from "../figures.js";
import { type Containers, Surveys } from "../metrics/survey.js";
import { canonicalPath } from "../mountpoint.js";
import { didYouMean, printable } from "../text.js";
import { type Activity, activities, type Moment } from "../tools/rates.js";
import { openScreen } from "../tools/screen.js";
import { arranged, type Order, SORT_KEYS, topTable } from "../tools/top-table.js";
import { gapsOf } from "../tools/verdicts.js";
import { type Context, servingConfigFor, toJson, warnOfOthers } from "./context.js";
import { addConfigFlags } from "./flags.js";

/** Width of lines if the output is not a terminal. */
const PLAIN_COLUMNS = 200;

interface TopOptions {
  readonly sort: string;
  readonly reverse?: boolean;
  readonly filter: string;
  readonly interval: string;
  readonly iterations?: string;
  readonly json?: boolean;
}

function positive(text: string, option: string, max: number): number {
  const value = Number(text);
  if (!(value > 0 && value <= max)) {
    throw new VprocfsError(
      "USAGE",
      `option ${option}: expected a number above 0 and at most ${max}`,
    );
  }
  return value;
}

function orderOf(options: TopOptions): Order {
  const { sort, filter, reverse = false } = options;
  if (!SORT_KEYS.includes(sort)) {
    const hint = didYouMean(sort, SORT_KEYS) || `: ${SORT_KEYS.join(", ")}`;
    throw new VprocfsError("USAGE", `option --sort: no column '${printable(sort)}'${hint}`);
  }
  return { sort, reverse, filter };
}

function asJson(activity: Activity): object {
  const { container, ...rates } = activity;
  const { figures, ...place } = container;
  const told = Object.entries(rates).map(([key, value]) => [key, value ?? null]);
  return { ...place, ...Object.fromEntries(told), figures: Object.fromEntries(figures.entries()) };
}

/** Takes samples and compares each with the one before. */
class Watch {
  readonly #surveys: Surveys;
  readonly #mountpoint: string;
  readonly #given = new GivenNames();
  #before: Moment | undefined;
  #gaps: readonly string[] = [];

  constructor(surveys: Surveys, mountpoint: string) {
    this.#surveys = surveys;
    this.#mountpoint = mountpoint;
  }

  /** What the last sample does not say of the containers. */
  get gaps(): readonly string[] {
    return this.#gaps;
  }

  async next(): Promise<Activity[]> {
    const survey: Containers = await this.#surveys.take();
    const [atMs, epochS] = [performance.now(), Date.now() / 1000];
    this.#gaps = gapsOf(survey);
    const figures = await askFigures(this.#mountpoint, survey.containers);
    const counted = Object.entries(figures?.containers ?? {});
    const requests = new Map(counted.map(([id, figures]) => [id, figures.requests]));
    const loads = new Map(counted.map(([id, figures]) => [id, figures.load]));
    const askedMs = performance.now();
    const givenNames = this.#given.of(survey.containers);
    const now = {
      atMs,
      askedMs,
      epochS,
      containers: survey.containers,
      requests,
      loads,
      givenNames,
    };
    const found = activities(this.#before, now);
    this.#before = now;
    return found;
  }
}

async function printPlain(
  context: Context,
  watch: Watch,
  order: Order,
  options: { intervalMs: number; iterations: number; json: boolean },
): Promise<void> {
  await watch.next();
  for (const gap of watch.gaps) {
    context.warn?.(gap);
  }
  for (let i = 0; i < options.iterations; i += 1) {
    await sleep(options.intervalMs);
    const rows = arranged(await watch.next(), order);
    if (options.json) {
      context.print(toJson(rows.map(asJson)));
    } else {
      context.print(topTable(rows, PLAIN_COLUMNS).join("\n"));
    }
  }
}

const HELP = "q quit  s/S sort  r reverse  / filter  Esc no filter";

function headLines(
  all: number,
  rows: readonly Activity[],
  order: Order,
  typing: boolean,
  gaps: readonly string[],
): string[] {
  const killed = rows.reduce((sum, { oomKills = 0 }) => sum + oomKills, 0);
  const busy = rows.reduce((sum, { cpu = 0 }) => sum + cpu, 0);
  const time = new Date().toTimeString().slice(0, 8);
  const filter = typing || order.filter !== "" ? `  filter: ${printable(order.filter)}` : "";
  return [
    `vprocfs ${hostname()} ${time}  ${rows.length} of ${all} containers, ${busy.toFixed(2)} CPUs, ${killed} OOM kills`,
    `${typing ? "Enter: done" : HELP}  by ${order.sort}${order.reverse ? ", reversed" : ""}${filter}${typing ? "_" : ""}`,
    gaps.join("; "),
  ];
}

/** Runs on a terminal until q or the end of `iterations`. */
async function runInteractive(
  watch: Watch,
  first: Order,
  options: { intervalMs: number; iterations: number },
): Promise<void> {
  let order = first;
  let typing = false;
  let found: Activity[] = [];
  const end = new AbortController();
  const draw = (): void => {
    const rows = arranged(found, order);
    // Rows below the screen would only cost time: a key has to be answered at once.
    const lines = [
      ...headLines(found.length, rows, order, typing, watch.gaps),
      ...topTable(rows.slice(0, screen.rows), screen.columns),
    ];
    screen.draw(lines.map((line) => fitted(line, screen.columns)));
  };
  const turn = (by: number): void => {
    const at = SORT_KEYS.indexOf(order.sort) + by + SORT_KEYS.length;
    order = { ...order, sort: SORT_KEYS[at % SORT_KEYS.length] ?? order.sort };
  };
  const onKey = (name: string, text: string): void => {
    const { filter } = order;
    if (name === "end" || (!typing && text === "q")) {
      end.abort();
      return;
    }
    if (name === "escape") {
      typing = false;
      order = { ...order, filter: "" };
    } else if (typing && name === "return") {
      typing = false;
    } else if (typing && name === "backspace") {
      order = { ...order, filter: filter.slice(0, -1) };
    } else if (typing) {
      order = { ...order, filter: filter + text.replaceAll(/\p{Cc}/gu, "") };
    } else if (text === "s" || text === "S") {
      turn(text === "s" ? 1 : -1);
    } else if (text === "r") {
      order = { ...order, reverse: !order.reverse };
    } else if (text === "/") {
      typing = true;
    }
    draw();
  };
  const screen = openScreen(process.stdin, process.stdout, onKey, draw);
  const stop = (): void => end.abort();
  process.once("SIGTERM", stop).once("SIGHUP", stop).once("SIGINT", stop);
  // A file of a cgroup may not answer: then nobody waits for the sample.
  const ended = once(end.signal, "abort").then(() => Promise.reject(new Error("ended")));
  ended.catch(() => {});
  try {
    found = await Promise.race([watch.next(), ended]);
    draw();
    for (let i = 0; i < options.iterations; i += 1) {
      await sleep(options.intervalMs, undefined, { signal: end.signal });
      found = await Promise.race([watch.next(), ended]);
      draw();
    }
  } catch (error) {
    if (!end.signal.aborted) {
      throw error;
    }
  } finally {
    screen.close();
  }
}

/** `vprocfs top` */
export function addTop(program: Command, context: Context): void {
  const command = program
    .command("top")
    .summary("show what the containers of this host are doing")
    .description(
      "Shows CPU, throttling, memory, swap, pressure, load, OOM kills and requests of every container, " +
        "as a live table on a terminal and as plain lines elsewhere. Works without a running vprocfs; " +
        "a running one adds load and requests.",
    )
    .option("--sort <COLUMN>", `column to sort by: ${SORT_KEYS.join(", ")}`, "cpu")
    .option("--reverse", "reverse the order")
    .option("--filter <TEXT>", "only containers with this text in their name, id or runtime", "")
    .option("--interval <SECONDS>", "time between two samples", "2")
    .option("--iterations <N>", "exit after N samples (default: 1 without a terminal)")
    .option("--json", "print an array of objects for each sample");
  addConfigFlags(command, ["mountpoint"], ["metrics"]).action(async (options: TopOptions) => {
    const order = orderOf(options);
    const intervalMs = 1000 * positive(options.interval, "--interval", 3600);
    const config = servingConfigFor(context, command);
    const mountpoint = canonicalPath(config.mountpoint);
    await warnOfOthers(context, mountpoint);
    const surveys = new Surveys(context.addon(), config, mountpoint);
    const watch = new Watch(surveys, mountpoint);
    const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
    const json = options.json === true;
    const byDefault = isTerminal && !json ? Number.POSITIVE_INFINITY : 1;
    const iterations =
      options.iterations === undefined
        ? byDefault
        : positive(options.iterations, "--iterations", 1e9);
    if (isTerminal && !json) {
      await runInteractive(watch, order, { intervalMs, iterations });
    } else {
      await printPlain(context, watch, order, { intervalMs, iterations, json });
    }
  });
}
