import { setTimeout as sleep } from "node:timers/promises";
import type { BenchCase, Mark } from "../case.js";
import { samples } from "../measure.js";
import { startCrowd } from "../support/crowd.js";
import { daemonCpuNs, footprint, wakeups } from "../support/daemon.js";
import { type FileName, pathOf } from "../support/files.js";

const READ: readonly FileName[] = ["meminfo", "stat", "cpuinfo", "uptime"];
const MARKED = "1000 containers";
/**
 * Work left over from the start is no cost of idling: V8 collects the garbage of the start up to three times,
 * 8 s apart.
 */
const REST_MS = { quick: 25_000, full: 40_000 } as const;
const MEASURED_MS = { quick: 10_000, full: 20_000 } as const;

const marks = (["exact", "tick"] as const).flatMap((peer): Mark[] => [
  {
    title: `${peer}: an idle daemon's share of a core, ${MARKED}`,
    limit: 0.1,
    metric: "cpuShare",
    measure: (medians) => medians.of(peer, MARKED, "cpuShare"),
  },
  {
    title: `${peer}: an idle daemon's wake-ups a second, ${MARKED}`,
    limit: 1,
    metric: "wakeups",
    measure: (medians) => medians.of(peer, MARKED, "wakeups"),
  },
]);

export const idle: BenchCase = {
  name: "idle",
  title: "A daemon that nobody asks",
  about: `Every container has read ${READ.join(", ")} once; then nobody reads anything. A wake-up is a thread of the daemon that goes on after it has slept.`,
  peers: ["lxcfs", "exact", "tick"],
  trials: { quick: 1, full: 3 },
  variants: (scale) => (scale === "quick" ? ["100"] : ["1000"]),
  measure: async (trial, variant) => {
    const { pid, containers } = await startCrowd(trial, Number(variant), READ);
    await trial.load({ paths: READ.map(pathOf), containers, count: 1, warmup: 0 });
    await sleep(REST_MS[trial.scale]);
    const before = { cpuNs: await daemonCpuNs(trial.stage, pid), woken: wakeups(pid) };
    const at = process.hrtime.bigint();
    await sleep(MEASURED_MS[trial.scale]);
    const seconds = Number(process.hrtime.bigint() - at) / 1e9;
    const cpuNs = (await daemonCpuNs(trial.stage, pid)) - before.cpuNs;
    return samples(`${variant} containers`, {
      cpuShare: cpuNs / 1e7 / seconds,
      wakeups: (wakeups(pid) - before.woken) / seconds,
      pss: footprint(pid).pssKiB / 1024,
    });
  },
  metrics: ["cpuShare", "wakeups", "pss"],
  marks,
};
