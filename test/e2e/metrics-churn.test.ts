// What the exporter tells while containers come and go faster than anybody looks.

import { readdirSync } from "node:fs";
import { expect, it } from "vitest";
import { loadAddon } from "../../src/native/addon.js";
import { Cgroup, MIB, removeCgroup } from "../support/cgroups.js";
import { Container } from "../support/container.js";
import { vprocfs } from "../support/daemon.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { commandOf } from "../support/proc.js";
import { figureOf, keepThrottled, serveMetrics } from "../support/prometheus.js";
import { Scope } from "../support/scope.js";
import { inLong } from "../support/size.js";
import { testScope } from "../support/test-scope.js";
import { readProcess } from "../support/testing.js";
import { until } from "../support/wait.js";

const CONTAINERS = inLong(100, 1000);
const AT_ONCE = 8;
/** Seconds for which quotas above a container have held it back, as the worker before has told. */
const KEPT_S = 7;

/** The names of all containers in a text; throws where a sample is no sample. */
function namesIn(text: string): Set<string> {
  const names = new Set<string>();
  for (const line of text.trimEnd().split("\n")) {
    if (line !== "" && !line.startsWith("#")) {
      expect(line).toMatch(/^\w+(?:\{.*\})? (?:[\d.e+-]+|\+Inf)$/);
      const name = /^vprocfs_container_\w+\{.*name="([^"]*)"/.exec(line)?.[1];
      if (name !== undefined) {
        names.add(name);
      }
    }
  }
  return names;
}

describeLive("metrics of containers that come and go", [], () => {
  it(`stay whole and small with ${CONTAINERS} of them`, async () => {
    const own = testScope();
    const { daemon, scrape } = await serveMetrics(own);
    const status = await vprocfs("status", "--json", "--mountpoint", daemon.mountpoint);
    const { workerPid } = JSON.parse(`${status.stdout}`);
    const descriptors = (): number => readdirSync(`/proc/${workerPid}/fd`).length;
    const prefix = `brief${process.pid}`;
    // What is opened once and stays is open after scrapes with a container, and without one.
    const first = new Scope();
    try {
      await Container.start(first, { name: `${prefix}-first`, memory: 16 * MIB });
      await until("it is told of, and its tasks are counted", async () => {
        const text = await scrape();
        return text.includes(prefix) && /^vprocfs_task_passes_total [1-9]/m.test(text);
      });
    } finally {
      await first.close();
    }
    await until("it is gone", async () => !(await scrape()).includes(prefix));
    const before = descriptors();
    const made = new Set<string>();
    const seen = new Set<string>();
    let left = CONTAINERS;
    const churn = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        const life = new Scope();
        try {
          const name = `${prefix}-${left}`;
          const container = await Container.start(life, { name, memory: 16 * MIB });
          made.add(container.cgroup.name);
        } finally {
          await life.close();
        }
      }
    };
    let isOver = false;
    const look = async (): Promise<void> => {
      while (!isOver) {
        for (const name of namesIn(await scrape())) {
          if (name.includes(prefix)) {
            seen.add(name);
          }
        }
      }
    };
    const churned = Promise.all(Array.from({ length: AT_ONCE }, churn)).finally(() => {
      isOver = true;
    });
    await Promise.all([look(), churned]);
    expect(made.size).toBe(CONTAINERS);
    expect([...seen].filter((name) => !made.has(name))).toEqual([]);
    expect(seen.size).toBeGreaterThan(0);
    await until("nothing is told or kept of any", async () => {
      const text = await scrape();
      return !text.includes(prefix) && descriptors() <= before + 2;
    });
    const text = await scrape();
    expect(text).toContain("vprocfs_survey_failed_containers 0\n");
    expect(text).toContain("vprocfs_late_surveys_total 0\n");
  });

  it("tell of one whose name is used again, in a PID namespace that lives on, but not of both", async () => {
    const own = testScope();
    const { daemon, scrape } = await serveMetrics(own);
    const pod = Cgroup.create(own, testName("pod"));
    pod.delegate();
    const pause = await Container.start(own, { cgroup: pod.child(own, "pause") });
    const startBeside = () =>
      Container.start(own, {
        cgroup: pod.child(own, "side"),
        memory: 32 * MIB,
        pidsOf: pause,
      });
    const limitOf = (text: string, id: string) => figureOf(text, "memory_limit_bytes", id);
    const side = await startBeside();
    const ended = await side.id(daemon);
    await until("it is told of", async () => limitOf(await scrape(), ended) === 32 * MIB);
    await side.kill();
    for (const directory of side.cgroup.directories) {
      await removeCgroup(directory);
    }
    // Takes the number of the namespace that has ended: the next one is seen to be another at once.
    await Container.start(own, { cgroup: pod.child(own, "other") });
    const next = await (await startBeside()).id(daemon);
    expect(next).not.toBe(ended);
    await until("the next one is told of", async () => limitOf(await scrape(), next) === 32 * MIB);
    for (let round = 0; round < 2; round += 1) {
      const text = await scrape();
      expect(limitOf(text, next)).toBe(32 * MIB);
      expect(limitOf(text, ended)).toBeUndefined();
    }
  });

  it("go on, with what the kernel does not count, when the place of one becomes another's", async () => {
    const own = testScope();
    const { daemon, scrape } = await serveMetrics(own);
    const pod = Cgroup.create(own, testName("pod"));
    pod.delegate();
    const pause = await Container.start(own, { cgroup: pod.child(own, "pause") });
    const one = await Container.start(own, {
      cgroup: pod.child(own, "one"),
      pidsOf: pause,
      quota: 1,
    });
    const id = loadAddon().containerOf(one.init)?.id ?? "";
    // A process of it in another place, which a look comes to before the place that both have.
    one.start(own, ["unshare", "--cgroup", "sleep", "1000"]);
    await until("it is there", () =>
      one.cgroup
        .read("memory", "cgroup.procs")
        .split("\n")
        .some((pid) => commandOf(pid) === "sleep"),
    );
    await Container.start(own, {
      cgroup: pod.child(own, "other"),
      pidsOf: pause,
      cgroupNamespace: one,
    });
    keepThrottled(daemon, id, pause, KEPT_S);
    const throttled = async () => figureOf(await scrape(), "cpu_throttled_seconds_total", id);
    expect(await throttled()).toBeGreaterThanOrEqual(KEPT_S);
    await one.kill();
    for (let round = 0; round < 3; round += 1) {
      expect(await throttled()).toBeGreaterThanOrEqual(KEPT_S);
    }
  });

  it("go on for one of two PID namespaces when the first of them ends", async () => {
    const own = testScope();
    const { scrape } = await serveMetrics(own);
    const old = await Container.start(own, { memory: 32 * MIB });
    // Nobody in it asks for a file: the survey is the only one who knows it.
    const id = loadAddon().containerOf(old.init)?.id ?? "";
    const startOf = (text: string) => figureOf(text, "start_time_seconds", id);
    const start = await until("it is told of", async () => startOf(await scrape()));
    const young = await Container.start(own, { cgroup: old.cgroup });
    const ticksOf = ({ init }: Container) => readProcess("/proc", init).startTicks;
    expect(ticksOf(young)).toBeGreaterThan(ticksOf(old));
    // Starts are in whole ticks of 10 ms.
    const begun = performance.now();
    await until("the next survey sees that it began before", () => performance.now() > begun + 20);
    expect(startOf(await scrape())).toBe(start);
    await old.kill();
    for (let round = 0; round < 2; round += 1) {
      expect(startOf(await scrape())).toBe(start);
    }
  });
});
