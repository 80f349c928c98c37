// The socket on which a worker answers `vprocfs dmesg`.

import { existsSync } from "node:fs";
import pino from "pino";
import { expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.js";
import { readKernelLog } from "../../src/klog/client.js";
import { logSocketOf } from "../../src/klog/protocol.js";
import { kernelLogServer } from "../../src/klog/server.js";
import { testName } from "../support/names.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const PAGES = 20;

/** A session whose log has as many long records as `PAGES` pages take. */
function engine(): Engine {
  const text = "x".repeat(1000);
  const kernelLog = async (_id: string, from: number, limit: number) => {
    const next = PAGES * limit;
    const records = Array.from({ length: Math.min(limit, next - from) }, (_, index) => {
      return { sequence: from + index, timeUs: from + index, priority: 6, text };
    });
    return { records, first: 0, next };
  };
  return { session: { kernelLog } } as unknown as Engine;
}

it.runIf(process.getuid?.() === 0)(
  "leaves no listeners while a client is slow to read",
  async () => {
    const mountpoint = `/${testName("klog-")}`;
    const server = kernelLogServer(mountpoint, pino({ level: "silent" }));
    testScope().defer(() => server.stop(true));
    const warnings: string[] = [];
    const onWarning = (warning: Error): void => {
      warnings.push(warning.name);
    };
    process.on("warning", onWarning);
    testScope().defer(() => {
      process.off("warning", onWarning);
    });
    server.start(engine());
    await until("it listens", () => existsSync(logSocketOf(mountpoint)));
    let records = 0;
    await readKernelLog(mountpoint, "7", false, () => {
      records += 1;
    });
    expect(records).toBe(PAGES * 500);
    expect(warnings).toEqual([]);
  },
);
