// Pods whose containers share a PID namespace, served by the watcher.

import { describe, expect, it } from "vitest";
import { filesOf, PLACES } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { haveProgram } from "../support/command.js";
import { Daemon } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { OciContainer } from "../support/oci.js";
import { memTotalKb } from "../support/procfile.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const LIMITS = { memory: 96 * MIB, swap: 0, quota: 1 };
const runtimes = ["runc", "crun"].filter(haveProgram);

describeLive("the watcher", [], () => {
  describe.each(runtimes)("for a pod on %s", (runtime) => {
    it("gives each of its containers its own memory", async () => {
      const own = testScope();
      const only = ["--watch", "on", "--attach-only", `*vprocfs-test-${process.pid}-*`];
      const watching = await Daemon.start(own, ...only);
      const pod = await OciContainer.start(own, runtime, watching, LIMITS, { plain: true });
      for (const memory of [64 * MIB, 128 * MIB]) {
        const variant = { plain: true, pidsOf: pod.init };
        const limits = { ...LIMITS, memory };
        const container = await OciContainer.start(own, runtime, watching, limits, variant);
        await until("it has its files", () => filesOf(container.init).length === PLACES.length);
        expect(memTotalKb(await container.output(["cat", "/proc/meminfo"]))).toBe(memory / 1024);
      }
      await until("the pod's own has", () => filesOf(pod.init).length === PLACES.length);
      expect(memTotalKb(await pod.output(["cat", "/proc/meminfo"]))).toBe(96 * 1024);
    });
  });
});
