// The socket on which a worker answers `vprocfs dmesg`.

import { once } from "node:events";
import { existsSync, mkdirSync } from "node:fs";
import { createConnection, createServer, type Socket } from "node:net";
import { dirname } from "node:path";
import pino from "pino";
import { expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.js";
import { readKernelLog } from "../../src/klog/client.js";
import { logSocketOf, MAX_CLIENTS } from "../../src/klog/protocol.js";
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

const asRoot = it.runIf(process.getuid?.() === 0);

async function serving(): Promise<string> {
  const mountpoint = `/${testName("klog-")}`;
  const server = kernelLogServer(mountpoint, pino({ level: "silent" }));
  testScope().defer(() => server.stop(true));
  server.start(engine());
  await until("it listens", () => existsSync(logSocketOf(mountpoint)));
  return mountpoint;
}

/** How many records a client gets. */
async function count(mountpoint: string, patienceMs?: number): Promise<number> {
  let records = 0;
  const tell = (): void => {
    records += 1;
  };
  await readKernelLog(mountpoint, "7", false, tell, patienceMs);
  return records;
}

asRoot("has one more client wait for a place, and says why it gets none", async () => {
  const mountpoint = await serving();
  const others = Array.from({ length: MAX_CLIENTS }, () => {
    const socket = createConnection(logSocketOf(mountpoint)).on("error", () => {});
    testScope().defer(() => {
      socket.destroy();
    });
    return socket;
  });
  await Promise.all(others.map((socket) => once(socket, "connect")));
  await expect(count(mountpoint, 0)).rejects.toThrow("too many follow logs here: 64");
  const waits = count(mountpoint);
  others[0]?.destroy();
  expect(await waits).toBe(PAGES * 500);
});

/** A server that is not ours, and how many connections it has had. */
async function impostor(answer: (socket: Socket, connection: number) => void) {
  const mountpoint = `/${testName("klog-")}`;
  const path = logSocketOf(mountpoint);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const seen = { connections: 0 };
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    seen.connections += 1;
    answer(socket, seen.connections);
  }).listen(path);
  testScope().defer(() => {
    server.close();
  });
  await once(server, "listening");
  return { mountpoint, seen };
}

function end(socket: Socket): void {
  socket.end('{"end":true}\n').resume();
}

asRoot("is asked again if it closes a connection before it has read the request", async () => {
  const { mountpoint, seen } = await impostor((socket, connection) => {
    if (connection < 3) {
      socket.destroy();
    } else {
      end(socket);
    }
  });
  expect(await count(mountpoint)).toBe(0);
  expect(seen.connections).toBe(3);
});

asRoot("is not waited for without end if it takes long to say that it has no place", async () => {
  const { mountpoint, seen } = await impostor((socket, connection) => {
    if (connection > 1) {
      end(socket);
      return;
    }
    socket.resume();
    setTimeout(() => socket.end('{"error":"EBUSY"}\n'), 1100);
  });
  await expect(count(mountpoint, 500)).rejects.toThrow("too many follow logs here");
  expect(seen.connections).toBe(1);
});

asRoot("leaves no listeners while a client is slow to read", async () => {
  const warnings: string[] = [];
  const onWarning = (warning: Error): void => {
    warnings.push(warning.name);
  };
  process.on("warning", onWarning);
  testScope().defer(() => {
    process.off("warning", onWarning);
  });
  expect(await count(await serving())).toBe(PAGES * 500);
  expect(warnings).toEqual([]);
});
