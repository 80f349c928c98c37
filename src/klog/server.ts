import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { basename, dirname, join } from "node:path";
import type { Companion } from "../daemon.js";
import type { Engine } from "../engine/engine.js";
import { errnoOf, messageOf } from "../errors.js";
import type { Logger } from "../log.js";
import type { NativeSession } from "../native/session.js";
import { logSocketOf, type Reply, type Request, RequestSchema } from "./protocol.js";

/** Records that are asked for at once. */
const PAGE = 500;
/** How often is looked for new ones while somebody follows; nobody does: never. */
const LOOK_MS = 100;
/** Who follows at a time. */
const MAX_CLIENTS = 64;

function send(socket: Socket, reply: Reply): void {
  socket.write(`${JSON.stringify(reply)}\n`);
}

/** Resolves when what was written has left, or the other side is gone. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed || !socket.writableNeedDrain) {
      resolve();
      return;
    }
    socket.once("drain", resolve).once("close", resolve);
  });
}

function later(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, LOOK_MS).unref();
  });
}

async function tell(socket: Socket, session: NativeSession, request: Request): Promise<void> {
  let { from } = request;
  while (!socket.destroyed) {
    const page = await session.kernelLog(request.id, from, PAGE);
    if (from > page.next) {
      // Who followed an earlier vprocfs goes on here, where the numbers began at 0 again.
      from = page.first;
      continue;
    }
    for (const record of page.records) {
      send(socket, record);
    }
    await drained(socket);
    from = (page.records.at(-1)?.sequence ?? from - 1) + 1;
    if (page.records.length === PAGE) {
      continue;
    }
    if (!request.follow) {
      send(socket, { end: true });
      return;
    }
    await later();
  }
}

function serveClient(socket: Socket, session: NativeSession): void {
  // Whoever goes away early is no error.
  socket.on("error", () => socket.destroy());
  const { createInterface } = process.getBuiltinModule("node:readline");
  const lines = createInterface({ input: socket }).on("error", () => socket.destroy());
  lines.once("line", async (line) => {
    try {
      await tell(socket, session, RequestSchema.parse(JSON.parse(line)));
    } catch (error) {
      send(socket, { error: errnoOf(error) ?? "EINVAL" });
    }
    socket.end();
  });
}

/** Workers that were killed before their socket had its name have left it. */
function removeLeft(path: string): void {
  const directory = dirname(path);
  const start = `${basename(path)}.`;
  for (const name of readdirSync(directory)) {
    const pid = name.startsWith(start) ? name.slice(start.length) : "";
    if (/^\d+$/.test(pid) && !existsSync(`/proc/${pid}`)) {
      rmSync(join(directory, name), { force: true });
    }
  }
}

function listen(path: string, session: NativeSession, clients: Set<Socket>, log: Logger): Server {
  const server = createServer((socket) => {
    clients.add(socket);
    socket.once("close", () => clients.delete(socket));
    serveClient(socket, session);
  });
  server.maxConnections = MAX_CLIENTS;
  server.on("error", (error) => {
    log.warn({ error: messageOf(error) }, "kernel logs cannot be asked for");
  });
  // Under a name of its own first: a worker before us unlinks its name when it ends, and not ours.
  const own = `${path}.${process.pid}`;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  removeLeft(path);
  rmSync(own, { force: true });
  server.listen(own, () => {
    try {
      renameSync(own, path);
    } catch (error) {
      log.warn({ error: messageOf(error) }, "kernel logs cannot be asked for");
    }
  });
  server.unref();
  return server;
}

/** Tells operators of containers' kernel logs, while an engine that has such logs serves. */
export function kernelLogServer(mountpoint: string, log: Logger): Companion {
  const path = logSocketOf(mountpoint);
  const clients = new Set<Socket>();
  let server: Server | undefined;
  return {
    start: (engine: Engine) => {
      if (engine.session !== undefined) {
        try {
          server = listen(path, engine.session, clients, log);
        } catch (error) {
          log.warn({ error: messageOf(error) }, "kernel logs cannot be asked for");
        }
      }
    },
    stop: async (forGood) => {
      server?.close();
      for (const socket of clients) {
        socket.destroy();
      }
      if (forGood) {
        rmSync(path, { force: true });
      }
    },
  };
}
