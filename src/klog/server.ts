import { rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import type { Companion } from "../daemon.js";
import type { Engine } from "../engine/engine.js";
import { errnoOf } from "../errors.js";
import type { Logger } from "../log.js";
import type { NativeSession } from "../native/session.js";
import { listenInPlace } from "../operator-socket.js";
import { logSocketOf, MAX_CLIENTS, type Reply, type Request, RequestSchema } from "./protocol.js";

/** Records that are read at a time. */
const PAGE = 500;
/** How often a client that follows is sent new records. */
const LOOK_MS = 100;
/** How long one that is refused may take to read why. */
const REFUSAL_MS = 1000;

function send(socket: Socket, reply: Reply): void {
  socket.write(`${JSON.stringify(reply)}\n`);
}

/** Resolves when the client has taken what was written, or is gone. */
async function drained(socket: Socket): Promise<void> {
  if (socket.destroyed || !socket.writableNeedDrain) {
    return;
  }
  await new Promise<void>((resolve) => {
    // A client that follows comes here any number of times, so no listener may stay.
    const done = (): void => {
      socket.off("drain", done).off("close", done);
      resolve();
    };
    socket.on("drain", done).on("close", done);
  });
}

function later(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, LOOK_MS).unref();
  });
}

/** Sends what a client asks for, until there is no more or it is gone. */
async function sendLog(socket: Socket, session: NativeSession, request: Request): Promise<void> {
  let { from } = request;
  while (!socket.destroyed) {
    const page = await session.kernelLog(request.id, from, PAGE);
    if (from > page.next) {
      // The client followed an earlier vprocfs; numbers have begun at 0 again since.
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
  // A client that goes away early is no error.
  socket.on("error", () => socket.destroy());
  const { createInterface } = process.getBuiltinModule("node:readline");
  const lines = createInterface({ input: socket }).on("error", () => socket.destroy());
  lines.once("line", async (line) => {
    try {
      await sendLog(socket, session, RequestSchema.parse(JSON.parse(line)));
    } catch (error) {
      send(socket, { error: errnoOf(error) ?? "EINVAL" });
    }
    socket.end();
  });
}

/** Reads the request, because a socket that is closed with unread data has its peer lose what it was sent. */
function refuse(socket: Socket): void {
  socket.on("error", () => socket.destroy()).setTimeout(REFUSAL_MS, () => socket.destroy());
  socket.once("data", () => {
    send(socket, { error: "EBUSY" });
    socket.end();
  });
}

/** Answers `vprocfs dmesg` while an engine that has kernel logs of containers serves. */
export function kernelLogServer(mountpoint: string, log: Logger): Companion {
  const path = logSocketOf(mountpoint);
  const clients = new Set<Socket>();
  let server: Server | undefined;
  return {
    isAwaited: true,
    start: (engine: Engine) => {
      const { session } = engine;
      if (session === undefined) {
        return;
      }
      server = createServer((socket) => {
        if (clients.size >= MAX_CLIENTS) {
          refuse(socket);
          return;
        }
        clients.add(socket);
        socket.once("close", () => clients.delete(socket));
        serveClient(socket, session);
      });
      server.maxConnections = 2 * MAX_CLIENTS;
      listenInPlace(server, path, log, "vprocfs dmesg");
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
