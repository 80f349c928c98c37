// Many containers that start at once: each gets its own files, whatever way it gets them.
// VPROCFS_TEST_MANY says how many.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { filesOf, installedHooks, PLACES } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { haveProgram } from "../support/command.js";
import { Daemon } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { OciContainer, type OciVariant } from "../support/oci.js";
import { memTotalKb } from "../support/procfile.js";
import { inLong, sized } from "../support/size.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { DEADLINE_MS, until } from "../support/wait.js";

const MANY = sized("VPROCFS_TEST_MANY", 6, 40);
/** They wait for each other. */
const LONG_MS = DEADLINE_MS + MANY * 1000;
const TIMEOUT = { timeout: 2 * LONG_MS + 60_000 };
const FIRST = ["/bin/sh", "-c", "cat /proc/meminfo >/first; exec sleep 1000000"];
const runtimes = ["runc", "crun"].filter(haveProgram);

/** No two have the same memory. */
const memoryOf = (index: number): number => (32 + index) * MIB;

/** Starts them all; what each one's first program has read is awaited. */
async function startAll(
  runtime: string,
  daemon: Daemon,
  variant: OciVariant,
): Promise<readonly OciContainer[]> {
  const own = testScope();
  const start = (index: number) => {
    const limits = { memory: memoryOf(index), swap: 0, quota: 1 };
    return OciContainer.start(own, runtime, daemon, limits, { ...variant, args: FIRST });
  };
  // All have ended, well or not, before anything is cleaned up.
  const started = await Promise.allSettled(Array.from({ length: MANY }, (_, i) => start(i)));
  return started.map((one) => {
    if (one.status === "rejected") {
      throw one.reason;
    }
    return one.value;
  });
}

async function firstOf({ rootfs }: OciContainer): Promise<number> {
  return until(
    "its first program has looked",
    () => {
      try {
        return memTotalKb(readFileSync(join(rootfs, "first"), "utf8"));
      } catch {
        return undefined;
      }
    },
    LONG_MS,
  );
}

/** Each way is the same for any runtime; but hooks each of them runs itself. */
const chosen = inLong(runtimes.slice(0, 1), runtimes);

describeLive("many at once", [], () => {
  describe("without a watcher", () => {
    const scope = fileScope();
    let daemon: Daemon;

    beforeAll(async () => {
      daemon = await Daemon.start(scope);
    });

    it.each(runtimes)("%s, by hooks: from their first instruction", TIMEOUT, async (runtime) => {
      const { oci } = installedHooks(testScope(), daemon.mountpoint);
      const hooks = { createRuntime: [JSON.parse(readFileSync(oci, "utf8")).hook] };
      const all = await startAll(runtime, daemon, { plain: true, hooks });
      for (const [index, container] of all.entries()) {
        expect(await firstOf(container)).toBe(memoryOf(index) / 1024);
        expect(filesOf(container.init)).toEqual(PLACES);
      }
    });

    it.each(chosen)(
      "%s, by binds of what each sees at the mount's top",
      TIMEOUT,
      async (runtime) => {
        const all = await startAll(runtime, daemon, {});
        for (const [index, container] of all.entries()) {
          expect(await firstOf(container)).toBe(memoryOf(index) / 1024);
        }
      },
    );
  });

  describe("with a watcher", () => {
    const scope = fileScope();
    let daemon: Daemon;

    beforeAll(async () => {
      const only = ["--attach-only", `*vprocfs-test-${process.pid}-*`];
      daemon = await Daemon.start(scope, "--watch", "on", ...only);
    });

    it.each(chosen)("%s, by it", TIMEOUT, async (runtime) => {
      const all = await startAll(runtime, daemon, { plain: true });
      for (const [index, container] of all.entries()) {
        const isWhole = () => filesOf(container.init).length === PLACES.length;
        await until("it has its files", isWhole, LONG_MS);
        const seen = readFileSync(`/proc/${container.init}/root/proc/meminfo`, "utf8");
        expect(memTotalKb(seen)).toBe(memoryOf(index) / 1024);
      }
    });

    it.each(chosen)("%s, by it and binds together", TIMEOUT, async (runtime) => {
      const all = await startAll(runtime, daemon, {});
      for (const [index, container] of all.entries()) {
        expect(await firstOf(container)).toBe(memoryOf(index) / 1024);
      }
    });
  });
});
