/** Runs trials one by one, each in a process of its own, interleaved between the peers. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { BenchCase, Scale } from "./case.js";
import { format } from "./measure.js";
import { NOISY, type Results } from "./results.js";
import { backgroundLoad } from "./support/machine.js";
import { peerNamed } from "./support/peers/index.js";
import type { PeerName } from "./support/peers/peer.js";
import type { Programs } from "./support/programs.js";
import { type TrialRequest, type TrialResult, trialResultSchema } from "./trial-protocol.js";

interface RunOptions {
  readonly cases: readonly BenchCase[];
  readonly peers: readonly PeerName[];
  readonly scale: Scale;
  /** The number of trials, instead of each scenario's own. */
  readonly trials: number | undefined;
  readonly cli: string;
  /** Whether daemons and readers get the highest priority. */
  readonly favoured: boolean;
  /** Seconds to wait before a trial for the machine to become quiet. */
  readonly patience: number;
  readonly programs: Programs;
  readonly progress: (line: string) => void;
  readonly signal: AbortSignal;
}

interface Planned {
  readonly scenario: BenchCase;
  readonly request: TrialRequest;
  readonly round: number;
}

const PATIENCE_STEP_MS = 500;
/** How long a trial that was told to end may take to clean up. */
const END_TIMEOUT_MS = 30_000;

function plan(options: RunOptions): Planned[] {
  const planned: Planned[] = [];
  for (const scenario of options.cases) {
    const rounds = options.trials ?? scenario.trials[options.scale];
    const variants = scenario.variants?.(options.scale) ?? ["all"];
    for (let round = 1; round <= rounds; round += 1) {
      for (const variant of variants) {
        for (const peer of scenario.peers.filter((name) => options.peers.includes(name))) {
          const { scale, cli, programs, favoured } = options;
          const request = { case: scenario.name, peer, variant, scale, cli, programs, favoured };
          planned.push({ scenario, request, round });
        }
      }
    }
  }
  return planned;
}

async function output(child: ChildProcess): Promise<string> {
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  await once(child, "close");
  return text;
}

/** Runs a trial in a process of its own. On an abort it cleans up before it ends. */
async function runTrial(request: TrialRequest, signal: AbortSignal): Promise<TrialResult> {
  const program = fileURLToPath(new URL("trial.js", import.meta.url));
  // In a session of its own, so that Ctrl-C reaches it only through this process.
  const child = spawn(process.execPath, [program, JSON.stringify(request)], {
    stdio: ["pipe", "pipe", "inherit"],
    detached: true,
  });
  const end = (): void => {
    child.kill("SIGTERM");
    setTimeout(() => child.kill("SIGKILL"), END_TIMEOUT_MS).unref();
  };
  signal.addEventListener("abort", end, { once: true });
  try {
    const text = await output(child);
    if (text === "") {
      return { failed: `the trial's process ended with ${child.signalCode ?? child.exitCode}` };
    }
    const result = trialResultSchema.safeParse(JSON.parse(text));
    return result.success ? result.data : { failed: `bad answer of the trial: ${text}` };
  } finally {
    signal.removeEventListener("abort", end);
  }
}

/** Waits at most `patience` seconds for a quiet machine; returns how busy it is then. */
async function quietness(patience: number, signal: AbortSignal): Promise<number> {
  const until = Date.now() + patience * 1000;
  let load = await backgroundLoad();
  while (load > NOISY && Date.now() < until && !signal.aborted) {
    await sleep(PATIENCE_STEP_MS);
    load = await backgroundLoad();
  }
  return load;
}

/** The first figures of a trial in a few words. */
function summary({ metrics }: BenchCase, result: TrialResult): string {
  if ("failed" in result) {
    return `FAILED: ${result.failed}`;
  }
  if (!("samples" in result)) {
    return `left out: ${"skipped" in result ? result.skipped : result.unavailable}`;
  }
  const main = result.samples.filter(({ metric }) => metric === metrics[0]);
  return main.map(({ series, metric, value }) => `${series} ${format(metric, value)}`).join(" · ");
}

/** Reports that a peer is left out of all scenarios that have not been run with it yet. */
function leaveOut(options: RunOptions, results: Results, peer: PeerName, reason: string): void {
  options.progress(`${peerNamed(peer).title} is left out: ${reason}`);
  const measured = new Set(
    results.trials.filter((trial) => trial.peer === peer).map((trial) => trial.case),
  );
  for (const { name, peers } of options.cases) {
    if (peers.includes(peer) && !measured.has(name)) {
      results.skips.push({ case: name, peer, reason, failed: false });
    }
  }
}

/** The peers that cannot take part, as far as that is known without a trial. */
function unavailablePeers(options: RunOptions, results: Results): Set<PeerName> {
  const out = new Set<PeerName>();
  for (const name of options.peers) {
    const reason = peerNamed(name).unavailable(options.cli);
    if (reason !== undefined) {
      out.add(name);
      leaveOut(options, results, name, reason);
    }
  }
  return out;
}

/** Runs everything that was asked for into `results`; ends early, without an error, when aborted. */
export async function runCases(options: RunOptions, results: Results): Promise<void> {
  const out = unavailablePeers(options, results);
  const trials = plan(options).filter(({ request }) => !out.has(request.peer));
  // A combination that cannot be measured is not tried again in the next round.
  const hopeless = new Set<string>();
  for (const [index, { scenario, request, round }] of trials.entries()) {
    const { case: name, peer, variant } = request;
    const key = `${name} ${peer} ${variant}`;
    if (hopeless.has(key) || out.has(peer)) {
      continue;
    }
    const background = await quietness(options.patience, options.signal);
    const began = Date.now();
    const result = options.signal.aborted ? undefined : await runTrial(request, options.signal);
    const seconds = (Date.now() - began) / 1000;
    if (result === undefined || options.signal.aborted) {
      return;
    }
    if ("unavailable" in result) {
      out.add(peer);
      leaveOut(options, results, peer, result.unavailable);
    } else if ("samples" in result) {
      results.trials.push({ case: name, peer, variant, round, background, seconds, ...result });
    } else {
      hopeless.add(key);
      const failed = "failed" in result;
      const reason = "failed" in result ? result.failed : result.skipped;
      results.skips.push({ case: name, peer, reason, failed });
    }
    const place = `[${index + 1}/${trials.length}]`;
    const what = `${name}${variant === "all" ? "" : ` ${variant}`} · ${peer} · ${round}`;
    const noise = background > NOISY ? ` (machine ${Math.round(background * 100)} % busy)` : "";
    options.progress(
      `${place} ${what} · ${seconds.toFixed(1)} s${noise} · ${summary(scenario, result)}`,
    );
  }
}
