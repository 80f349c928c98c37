// Which life of a container a worker goes on with, by the PID namespaces that were in it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { expect, it, onTestFinished } from "vitest";
import { State } from "../support/testing.js";
import { until } from "../support/wait.js";

const MIB = 2 ** 20;
const TICK_US = 10_000n;
const CONTAINER = 0x70n;

interface Init {
  readonly pid: bigint;
  readonly startUs: bigint;
}

/** When a process started, as proc_pid_stat(5) says in its field 22. */
function startOf(pid: number): bigint {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const [, , , , , , , , , , , , , , , , , , , ticks = ""] = text
    .slice(text.lastIndexOf(")") + 2)
    .split(" ");
  return BigInt(ticks) * TICK_US;
}

const LIVING: Init = { pid: BigInt(process.pid), startUs: startOf(process.pid) };
/** Of the same PID, which the kernel has given away again. */
const ENDED: Init = { pid: LIVING.pid, startUs: LIVING.startUs - TICK_US };
const LATER: Init = { pid: LIVING.pid, startUs: LIVING.startUs + TICK_US };

function find(state: State, { pid, startUs }: Init, container = CONTAINER): bigint {
  return state.findContainer(container, pid, startUs);
}

function join(state: State, { pid, startUs }: Init): void {
  state.joinContainer(CONTAINER, pid, startUs);
}

it("goes on through a PID namespace that was in it when the first one has ended", () => {
  const state = new State(MIB);
  expect(find(state, ENDED)).toBe(ENDED.startUs);
  join(state, LATER);
  for (let worker = 0; worker < 3; worker += 1) {
    expect(state.takeOver(false)).toBe("");
    expect(find(state, LATER)).toBe(ENDED.startUs);
    expect(state.lives()).toBe(1);
  }
});

it("goes on through one that nobody knew while another of them lives", () => {
  const state = new State(MIB);
  find(state, LIVING);
  state.takeOver(false);
  expect(find(state, LATER)).toBe(LIVING.startUs);
  state.takeOver(false);
  expect(find(state, LIVING)).toBe(LIVING.startUs);
});

it("goes on through an older one than the first that was found", () => {
  const state = new State(MIB);
  find(state, LATER);
  join(state, ENDED);
  state.takeOver(false);
  expect(find(state, ENDED)).toBe(LATER.startUs);
});

it("begins again when all that were in it have ended, whoever has their PIDs", () => {
  const state = new State(MIB);
  find(state, ENDED);
  state.takeOver(false);
  expect(find(state, LATER)).toBe(LATER.startUs);
  expect(state.lives()).toBe(1);
});

it("begins again while an init that has ended is not waited for", async () => {
  const shell = spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 1000"]);
  onTestFinished(() => {
    shell.kill("SIGKILL");
  });
  const [line] = await once(shell.stdout, "data");
  const pid = Number(line);
  const state = new State(MIB);
  await until("it has ended", () => /\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8")));
  find(state, { pid: BigInt(pid), startUs: startOf(pid) });
  state.takeOver(false);
  expect(find(state, LATER)).toBe(LATER.startUs);
});

it("is one container's only", () => {
  const state = new State(MIB);
  find(state, LIVING);
  state.takeOver(false);
  expect(find(state, LATER, CONTAINER + 8n)).toBe(LATER.startUs);
  expect(state.lives()).toBe(2);
});

it("leaves nothing when it ends, nor does its end touch the next one", () => {
  const state = new State(MIB);
  find(state, ENDED);
  state.takeOver(false);
  find(state, ENDED);
  state.endContainer(CONTAINER);
  expect(state.lives()).toBe(0);
  find(state, LATER);
  expect(state.lives()).toBe(1);
});

it("knows those that live however many have ended", () => {
  const state = new State(MIB);
  find(state, ENDED);
  for (let i = 2n; i < 40n; i += 1n) {
    join(state, { pid: LIVING.pid, startUs: LIVING.startUs - TICK_US * i });
  }
  join(state, LIVING);
  state.takeOver(false);
  expect(find(state, LATER)).toBe(ENDED.startUs);
  expect(state.lives()).toBe(1);
});

it("keeps the idle time from before each PID namespace, as it was noted first", () => {
  const state = new State(MIB);
  find(state, LIVING);
  expect(state.hasSeveral(CONTAINER)).toBe(false);
  join(state, LATER);
  state.noteIdle(CONTAINER, LATER.startUs, 7n);
  for (let worker = 0; worker < 2; worker += 1) {
    state.noteIdle(CONTAINER, LATER.startUs, 9n);
    expect(state.notedIdle(CONTAINER, LATER.startUs)).toBe(7n);
    expect(state.notedIdle(CONTAINER, LIVING.startUs)).toBeNull();
    expect(state.hasSeveral(CONTAINER)).toBe(true);
    expect(state.takeOver(false)).toBe("");
    expect(find(state, LIVING)).toBe(LIVING.startUs);
    expect(state.lives()).toBe(1);
  }
});

it("takes all idle time off for a PID namespace that it does not know", () => {
  const state = new State(MIB);
  find(state, LIVING);
  state.noteIdle(CONTAINER, LATER.startUs, 7n);
  expect(state.notedIdle(CONTAINER, LATER.startUs)).toBe(2n ** 64n - 1n);
});

it("goes on with counters that a version without lives has shown after it began", () => {
  const state = new State(MIB);
  const ageUs = LATER.startUs - ENDED.startUs + TICK_US;
  state.keepCounters(CONTAINER, ENDED.startUs, ageUs);
  for (let worker = 0; worker < 2; worker += 1) {
    state.takeOver(false);
    expect(find(state, LATER)).toBe(ENDED.startUs);
    expect(state.keptCounters(CONTAINER)).toBe(ageUs);
  }
});

it("does not go on with counters that such a version has shown before it began", () => {
  const state = new State(MIB);
  state.keepCounters(CONTAINER, ENDED.startUs, LATER.startUs - ENDED.startUs);
  state.takeOver(false);
  expect(find(state, LATER)).toBe(LATER.startUs);
  expect(state.keptCounters(CONTAINER)).toBeNull();
});

it("goes on with counters that such a version has kept meanwhile", () => {
  const state = new State(MIB);
  find(state, ENDED);
  join(state, LATER);
  state.takeOver(false);
  state.keepCounters(CONTAINER, LATER.startUs, 5n);
  for (let worker = 0; worker < 2; worker += 1) {
    state.takeOver(false);
    expect(find(state, LATER)).toBe(ENDED.startUs);
    expect(state.keptCounters(CONTAINER)).toBe(5n);
  }
});
