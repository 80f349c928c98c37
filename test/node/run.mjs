#!/usr/bin/env node
// Runs scenarios on booted nodes: machines with systemd and every container runtime, in QEMU.
//
//   node test/node/run.mjs [--node NAME]... [--scenario NAME]... [--short] [--keep] [--report FILE]
//                            [--lenient] [--list] [--check]
//
// --node      trixie unless told, `all` for every one
// --scenario  all unless told
// --short     only those of the short form
// --check     says why these nodes cannot be run here, with exit status 1
// --report    writes the outcomes of the last node to this file
// --keep      writes the outcomes to test/node/results, from which docs/reference/support.md is made
//
// --lenient   exit status 75 instead of 1 when an image could not be built, or when a machine failed again and
//             again: that says nothing about vprocfs
//
// Exit status 0 when no scenario failed, 1 otherwise.

import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { imageOf, populated, seconds, unavailable } from "./image.mjs";
import { Machine, MachineError } from "./machine.mjs";
import { NODES } from "./nodes.mjs";
import { buildPackages } from "./packages.mjs";
import { SCENARIOS } from "./scenarios/index.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const project = dirname(dirname(here));
const MACHINE_FAILED = 75;

for (const [signal, number] of Object.entries({ SIGINT: 2, SIGTERM: 15, SIGHUP: 1 })) {
  // What is left to do is done at the exit: machines end, what is unfinished goes.
  process.on(signal, () => process.exit(128 + number));
}

function fail(message) {
  console.error(`test:node: ${message}`);
  process.exit(1);
}

function pick(all, wanted, what) {
  if (wanted === undefined || wanted.includes("all")) {
    return all;
  }
  return wanted.map(
    (name) =>
      all.find((one) => one.name === name) ??
      fail(`no ${what} ${name}; there are ${all.map((one) => one.name).join(", ")}`),
  );
}

const { values: options } = parseArgs({
  options: {
    node: { type: "string", multiple: true },
    scenario: { type: "string", multiple: true },
    short: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    report: { type: "string" },
    check: { type: "boolean", default: false },
    lenient: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});

/** The scenario that the state `installed` is made by. */
const INSTALL = "install";

/** What a scenario has to do with its node. */
class Bed {
  constructor(machine, kind) {
    this.machine = machine;
    this.kind = kind;
    /** What is told with a pass, such as times. */
    this.notes = [];
  }

  /** Runs a script with the functions of guest/*.sh. @returns what it wrote. */
  async sh(script, seconds = 2400) {
    const text = `. /root/bed/scenario.sh\nset -e\n${script}`;
    const { status, stdout, stderr, late } = await this.machine.run(text, { seconds });
    if (late) {
      throw new Error(`not within ${seconds} s: ${script.trim().split("\n").pop()}`);
    }
    if (status !== 0) {
      const why = /^FAIL: (.*)$/m.exec(stderr)?.[1] ?? (stderr.trim() || stdout.trim());
      throw new Error(why === "" ? `exit status ${status}: ${script.trim()}` : why);
    }
    return stdout.trimEnd();
  }

  note(text) {
    this.notes.push(text);
  }
}

/** What a node says of a failure. */
async function evidence(machine, file) {
  const { stdout } = await machine.run(
    "journalctl -b --no-pager -u vprocfs -u lxcfs | tail -n 100; dmesg | tail -n 30; vprocfs status; cat /tmp/start.log",
    { seconds: 120 },
  );
  writeFileSync(file, stdout);
}

async function runScenario(scenario, image, states, work) {
  const { kind } = image;
  const reason = scenario.impossible?.(kind, states);
  if (reason !== undefined) {
    return { result: "not possible", reason };
  }
  const from = states[scenario.from ?? "installed"];
  if (from === undefined) {
    return { result: "not possible", reason: "the installation failed, see there" };
  }
  for (let attempt = 1; ; attempt += 1) {
    try {
      return scenario.name === INSTALL
        ? await install(scenario, image, states, work)
        : await inMachineOfItsOwn(scenario, image, from, work);
    } catch (error) {
      // The emulator's fault, which is not to be taken for the scenario's.
      if (!(error instanceof MachineError) || attempt === 2) {
        throw error;
      }
      console.log(`       ${scenario.name}: ${error.message}; once more`);
    }
  }
}

async function inMachineOfItsOwn(scenario, image, from, work) {
  const machine = await Machine.start(image, from, join(work, "run"));
  try {
    return await attempt(machine, image.kind, scenario, work);
  } finally {
    machine.kill();
  }
}

/** Runs a scenario in a machine; throws only when that is the machine's fault. */
async function attempt(machine, kind, scenario, work) {
  const bed = new Bed(machine, kind);
  try {
    await scenario.run(bed);
    return { result: "pass", ...(bed.notes.length > 0 && { notes: bed.notes }) };
  } catch (error) {
    if (error instanceof MachineError) {
      throw error;
    }
    await evidence(machine, join(work, `${scenario.name}.log`)).catch(() => {});
    return { result: "fail", reason: error.message.split("\n")[0].slice(0, 300) };
  } finally {
    copyFileSync(machine.console, join(work, `${scenario.name}.console.log`));
  }
}

/** The state with what scenarios need on the node: functions, packages, readers. */
async function furnished(image, from, packages, work) {
  const machine = await Machine.start(image, from, join(work, "furnished"));
  try {
    const guest = ["lib.sh", "scenario.sh", "crowd.sh", "gap.py", "yardstick.py"];
    const files = guest.map((name) => join(here, "guest", name));
    await machine.copy([...files, packages.storm], "/root/bed");
    await machine.copy(packages.old, "/root/packages/old");
    await machine.copy(packages.new, "/root/packages/new");
    return await machine.freeze(join(work, "furnished/memory"));
  } finally {
    machine.kill();
  }
}

/**
 * The scenario that installs the package, which ends with the state that others begin with. Without it
 * there is no such state.
 */
async function install(scenario, image, states, work) {
  const machine = await Machine.start(image, states.populated, join(work, "installed"));
  try {
    const outcome = await attempt(machine, image.kind, scenario, work);
    if (outcome.result === "pass") {
      states.installed = await machine.freeze(join(work, "installed/memory"));
    }
    return outcome;
  } finally {
    machine.kill();
  }
}

function packagesOf(kind, directory) {
  try {
    return buildPackages(kind, directory);
  } catch (error) {
    return fail(error.message);
  }
}

async function runNode(kind, scenarios) {
  const tell = (text) => console.log(`       ${text}`);
  console.log(`${kind.name}: ${kind.title}`);
  const work = join(project, "build/node", kind.name);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const begin = Date.now();
  const image = await imageOf(kind, join(work, "image.log"), tell);
  const base = await populated(image, work, tell);
  const packages = packagesOf(kind, join(work, "packages"));
  const states = { populated: await furnished(image, base, packages, work) };
  const outcomes = {};
  for (const scenario of scenarios) {
    const since = Date.now();
    const outcome = await runScenario(scenario, image, states, work);
    outcomes[scenario.name] = { ...outcome, seconds: seconds(since) };
    if (options.keep) {
      keep(kind, outcomes);
    }
    const mark = { pass: "ok    ", fail: "FAIL  ", "not possible": "-     " }[outcome.result];
    const more = outcome.reason ?? outcome.notes?.join("; ") ?? "";
    console.log(`${mark} ${scenario.name} (${seconds(since)} s)${more === "" ? "" : `: ${more}`}`);
  }
  for (const directory of ["furnished", "installed", "run", "packages", "boot"]) {
    rmSync(join(work, directory), { recursive: true, force: true });
  }
  console.log(`${kind.name}: ${seconds(begin)} s, logs in ${work}`);
  return outcomes;
}

function keep(kind, outcomes) {
  const file = join(here, "results", `${kind.name}.json`);
  const before = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
  const all = { ...before, ...outcomes };
  const known = SCENARIOS.map(({ name }) => name).filter((name) => name in all);
  const sorted = Object.fromEntries(known.map((name) => [name, all[name]]));
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(sorted, undefined, 2)}\n`);
}

if (options.list) {
  for (const { name, title, short } of SCENARIOS) {
    console.log(`${name}: ${title}${short ? " (short form)" : ""}`);
  }
  process.exit(0);
}
const kinds = pick(NODES, options.node ?? ["trixie"], "node");
const picked = pick(SCENARIOS, options.scenario, "scenario").filter(
  ({ short }) => short === true || !options.short,
);
// Most begin with what the installation ends with.
const scenarios = SCENARIOS.filter(
  (one) =>
    picked.includes(one) || (one.name === INSTALL && picked.some(({ from }) => from === undefined)),
);
for (const kind of kinds) {
  const missing = unavailable(kind);
  if (missing !== undefined) {
    fail(`${kind.name} cannot be run here: ${missing}`);
  }
}
if (options.check) {
  process.exit(0);
}
let failed = 0;
try {
  for (const kind of kinds) {
    const outcomes = await runNode(kind, scenarios);
    failed += Object.values(outcomes).filter(({ result }) => result === "fail").length;
    if (options.report !== undefined) {
      writeFileSync(options.report, JSON.stringify(outcomes));
    }
  }
} catch (error) {
  if (!(error instanceof MachineError)) {
    throw error;
  }
  console.error(`test:node: ${error.message}`);
  process.exit(options.lenient ? MACHINE_FAILED : 1);
}
process.exit(failed === 0 ? 0 : 1);
