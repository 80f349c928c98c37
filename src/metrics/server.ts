import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { BasicAuth, type WebConfig } from "./basic-auth.js";
import { Connections } from "./connections.js";
import { type Format, formatFor, OPENMETRICS_TYPE, TEXT_TYPE } from "./exposition.js";

/** The contents of the pages. */
export interface Pages {
  metrics(format: Format): Promise<Buffer>;
  /** Undefined: ready; else the reason why not. */
  unready(): Promise<string | undefined>;
}

/** A client that does not read, or sends its request byte by byte, is disconnected after this. */
const IDLE_MS = 10_000;
/** How often at most it is logged that connections were closed for others. */
const LOG_INTERVAL_MS = 60_000;

const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  text: TEXT_TYPE,
  openmetrics: OPENMETRICS_TYPE,
};

const INDEX = `<!DOCTYPE html>
<html lang="en"><head><title>vprocfs</title></head>
<body><h1>vprocfs</h1><p><a href="/metrics">Metrics</a></p></body></html>
`;

interface Answer {
  readonly status: number;
  readonly type?: string;
  readonly body: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

function plain(status: number, line: string, headers: Readonly<Record<string, string>> = {}) {
  return { status, body: `${line}\n`, headers };
}

async function answerTo(request: IncomingMessage, pages: Pages): Promise<Answer> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return plain(405, "only GET and HEAD", { Allow: "GET, HEAD" });
  }
  switch ((request.url ?? "").split("?", 1)[0]) {
    case "/metrics": {
      const format = formatFor(request.headers.accept);
      return { status: 200, type: CONTENT_TYPES[format], body: await pages.metrics(format) };
    }
    case "/healthz":
      return plain(200, "ok");
    case "/readyz": {
      const reason = await pages.unready();
      return reason === undefined ? plain(200, "ok") : plain(503, reason);
    }
    case "/":
      return { status: 200, type: "text/html; charset=utf-8", body: INDEX };
    default:
      return plain(404, "no such page; the pages are /metrics, /healthz and /readyz");
  }
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  const { status, type = "text/plain; charset=utf-8", body, headers = {} } = answer;
  response.writeHead(status, {
    "Content-Type": type,
    "Content-Length": Buffer.byteLength(body),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    ...headers,
  });
  response.end(request.method === "HEAD" ? undefined : body);
}

interface MetricsServer {
  readonly server: Server;
  /** Ends all connections. */
  readonly cutOff: () => void;
}

/**
 * Makes an HTTP server, or an HTTPS server if the web configuration says so, that does not listen yet. `onCrowd` is
 * called now and then while connections are closed because there are too many.
 */
export function metricsServer(
  pages: Pages,
  web: WebConfig,
  onError: (error: unknown) => void,
  onCrowd: () => void,
): MetricsServer {
  const basicAuth = new BasicAuth(web.users);
  let loggedMs = Number.NEGATIVE_INFINITY;
  const connections = new Connections(() => {
    if (performance.now() - loggedMs >= LOG_INTERVAL_MS) {
      loggedMs = performance.now();
      onCrowd();
    }
  });
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    // A client that does not read its answer counts as silent.
    const end = connections.begin(request.socket);
    try {
      const { remoteAddress: address = "local", remotePort: port = 0 } = request.socket;
      const admission = await basicAuth.admits(request.headers.authorization, { address, port });
      if (admission === "too many") {
        send(
          request,
          response,
          plain(429, "too many password checks at once", { "Retry-After": "1" }),
        );
        return;
      }
      if (admission === "no") {
        const headers = { "WWW-Authenticate": 'Basic realm="vprocfs"' };
        send(request, response, plain(401, "a user name and a password are required", headers));
        return;
      }
      send(request, response, await answerTo(request, pages));
    } catch (error) {
      onError(error);
      send(request, response, plain(500, "internal error; see the log"));
    } finally {
      end();
    }
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    void serve(request, response);
  };
  const server =
    web.tls === undefined
      ? createServer(listener)
      : // Loaded only if it is needed.
        process
          .getBuiltinModule("node:https")
          .createServer({ ...web.tls, handshakeTimeout: IDLE_MS }, listener);
  server.on("connection", (socket: Socket) => connections.admit(socket));
  server.on("close", () => void basicAuth.close());
  server.requestTimeout = IDLE_MS;
  server.headersTimeout = IDLE_MS;
  server.setTimeout(IDLE_MS, (socket) => socket.destroy());
  return {
    server,
    // Node's own list has a connection with TLS only once its client has said something.
    cutOff: () => connections.destroyAll(),
  };
}
