import type { Command } from "commander";
import { findContainer } from "../containers/find.js";
import { GivenNames } from "../containers/given-names.js";
import { madeByRoot } from "../containers/made-by-root.js";
import { messageOf, VprocfsError } from "../errors.js";
import { readStatus } from "../keeper-status.js";
import { Surveys } from "../metrics/survey.js";
import { canonicalPath, type Identity, stateOfMount } from "../mountpoint.js";
import type { NativeBinding } from "../native/binding.js";
import { requireRoot } from "../root.js";
import { counted, shortName } from "../text.js";
import { type PluginLevel, PluginStatus, pluginLine, uniqueLabels } from "../tools/nagios.js";
import {
  type Called,
  gapsOf,
  judgeContainer,
  judgeNode,
  levelOf,
  type Thresholds,
  type Verdict,
} from "../tools/verdicts.js";
import { requireSight, servedUnseen } from "../unseen.js";
import { NoAnswer, within } from "../within.js";
import { type Context, servingConfigFor } from "./context.js";
import { addConfigFlags } from "./flags.js";

interface CheckOptions {
  readonly warning: string;
  readonly critical: string;
  readonly oomMinutes: string;
}

/** How long anything may take to answer. NRPE gives a check ten seconds. */
const WITHIN_MS = 8000;

const NO_LOG = "the kernel's log cannot be read: OOM kills are not dated";

function numberOf(text: string, option: string, max: number): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && value <= max)) {
    throw new VprocfsError("USAGE", `option ${option}: expected a number from 0 to ${max}`);
  }
  return value;
}

function thresholdsOf(options: CheckOptions): Thresholds {
  const warning = numberOf(options.warning, "--warning", 100);
  const critical = numberOf(options.critical, "--critical", 100);
  if (warning > critical) {
    throw new VprocfsError("USAGE", "option --warning: must not be above --critical");
  }
  return { warning, critical, oomSeconds: 60 * numberOf(options.oomMinutes, "--oom-minutes", 1e6) };
}

const NOT_LIVE = {
  dead: "the mount is dead",
  hung: "the mount does not answer",
  foreign: "something else is mounted there",
  none: "nothing is mounted",
} as const;

function levelOfWorker(state: string): PluginLevel {
  if (state === "serving") {
    return "ok";
  }
  return state === "refusing" ? "critical" : "warning";
}

/** undefined: there is no answer within `ms`. */
async function answerWithin<T>(answer: Promise<T>, ms: number): Promise<T | undefined> {
  try {
    return await within(answer, ms, "late");
  } catch (error) {
    if (error instanceof NoAnswer) {
      return undefined;
    }
    throw error;
  }
}

/** What the mount and its worker are like. */
interface DaemonVerdict extends Verdict {
  /** Why the worker is not known; undefined: it is, or does not matter. */
  readonly gap?: string;
}

async function judgeDaemon(path: string, identity: Identity): Promise<DaemonVerdict> {
  const begunMs = performance.now();
  const state = await stateOfMount(path, identity);
  const leftMs = Math.max(0, WITHIN_MS - (performance.now() - begunMs));
  if (state !== "live") {
    const asked = state === "none" ? servedUnseen(path, identity, "") : undefined;
    const unseen = asked && (await answerWithin(asked, leftMs));
    return { level: "critical", text: `${path}: ${unseen?.what ?? NOT_LIVE[state]}`, values: [] };
  }
  try {
    const status = await within(readStatus(path), leftMs, `${path}: its keeper does not answer`);
    const values = [
      { label: "restarts", value: status.restarts, unit: "c" },
      { label: "requests", value: status.requests, unit: "c" },
    ];
    const level = levelOfWorker(status.state);
    return { level, text: level === "ok" ? "" : `the worker is ${status.state}`, values };
  } catch (error) {
    return { level: "ok", text: "", values: [], gap: messageOf(error) };
  }
}

/** Why a container that exists is not in a survey. */
function whyMissing(word: string, gaps: readonly string[]): string {
  return `${word}: ${gaps.length === 0 ? "it has ended meanwhile" : "it is not among those that were checked"}`;
}

/** The id of the container that is to be checked; undefined: all are. */
async function idOf(
  binding: NativeBinding,
  path: string,
  word: string | undefined,
): Promise<string | undefined> {
  // If the keeper does not answer, judgeDaemon() says so.
  await answerWithin(requireSight(path), WITHIN_MS);
  return word === undefined ? undefined : findContainer(binding, word).id;
}

async function check(context: Context, command: Command, word: string | undefined) {
  const limits = thresholdsOf(command.opts<CheckOptions>());
  const config = servingConfigFor(context, command);
  const binding = context.addon();
  const path = canonicalPath(config.mountpoint);
  const surveys = new Surveys(binding, config, path);
  // All at once, because together they may not take longer than each.
  const [id, daemon, survey] = await Promise.all([
    idOf(binding, path, word),
    judgeDaemon(path, config),
    surveys.takeWithin(WITHIN_MS),
  ]);
  const { containers, readsLog } = survey ?? { containers: [], readsLog: true };
  const selected = containers.filter((container) => id === undefined || container.id === id);
  const labels = uniqueLabels(selected, madeByRoot());
  const given = new GivenNames().of(containers);
  const calledAt = (index: number): Called => {
    const { id: of = "", name = "" } = selected[index] ?? {};
    const label = labels[index] ?? "";
    return { label, shown: given.get(of) ?? (label === name ? shortName(name) : label) };
  };
  const verdicts = [
    daemon,
    ...(id === undefined ? [judgeNode(binding.nodeMemory(), limits)] : []),
    ...selected.map((container, index) => judgeContainer(calledAt(index), container, limits)),
  ];
  const unread = gapsOf(survey);
  const isMissing = word !== undefined && selected.length === 0;
  const gaps = [
    ...(daemon.gap === undefined ? [] : [daemon.gap]),
    ...(isMissing ? [whyMissing(word, unread)] : []),
    ...(id === undefined || isMissing ? unread : []),
    ...(readsLog || limits.oomSeconds === 0 ? [] : [NO_LOG]),
  ];
  const level = levelOf(verdicts, gaps);
  const messages = [...verdicts.map(({ text }) => text).filter((text) => text !== ""), ...gaps];
  const fine = id === undefined ? counted(selected.length, "container") : calledAt(0).shown;
  const count = { label: "containers", value: selected.length, unit: "" };
  const values = [
    ...(id === undefined ? [count] : []),
    ...verdicts.flatMap((verdict) => verdict.values),
  ];
  context.print(pluginLine(level, messages.length === 0 ? fine : messages.join("; "), values));
  context.exit(PluginStatus[level]);
}

/** `vprocfs check [CONTAINER]` */
export function addCheck(program: Command, context: Context): void {
  const command = program
    .command("check")
    .summary("Nagios-compatible check")
    .description(
      "Checks the mount, and the memory of the node and of every container with a limit, or of one container. " +
        "Prints one line with performance data; exits with 0 (ok), 1 (warning), 2 (critical) or 3 (unknown).",
    )
    .argument("[CONTAINER]", "id, name, or the PID of any process in it (default: all)")
    .option("-w, --warning <PERCENT>", "warn when memory in use reaches this share", "90")
    .option(
      "-C, --critical <PERCENT>",
      "report critical when memory in use reaches this share",
      "95",
    )
    .option("--oom-minutes <MINUTES>", "how long to warn after an OOM kill", "60");
  addConfigFlags(command, ["mountpoint"]).action(async (word: string | undefined) => {
    try {
      requireRoot();
      await check(context, command, word);
    } catch (error) {
      context.print(pluginLine("unknown", messageOf(error)));
      context.exit(PluginStatus.unknown);
    }
  });
}
