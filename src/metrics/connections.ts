import type { Socket } from "node:net";

/** Connections of one client and of all: each may make the exporter hold a whole page. */
const MAX_PER_CLIENT = 24;
const MAX_CONNECTIONS = 64;

interface Connection {
  readonly socket: Socket;
  readonly client: string;
  requests: number;
  /** When the last request ended. */
  silentMs: number;
}

type Key = Socket | string;

/** A connection with TLS has two sockets, with the same port at the other end. */
function keyOf(socket: Socket): Key {
  const { remotePort, remoteAddress } = socket;
  return remotePort === undefined ? socket : `${remoteAddress} ${remotePort}`;
}

/**
 * Bounds the number of connections. If there are too many, a new one replaces the one that has been silent
 * longest, of the same client or of the one with most connections; never one whose request is being answered.
 */
export class Connections {
  readonly #all = new Map<Key, Connection>();
  readonly #onClosed: () => void;
  readonly #now: () => number;

  /** `onClosed` is called for each connection that is closed for another one, or not admitted. */
  constructor(onClosed: () => void, now: () => number = () => performance.now()) {
    this.#onClosed = onClosed;
    this.#now = now;
  }

  /** Admits a new connection, or destroys it if there is no room. */
  admit(socket: Socket): void {
    const client = socket.remoteAddress ?? "local";
    const own = [...this.#all.values()].filter((one) => one.client === client);
    if (own.length >= MAX_PER_CLIENT || this.#all.size >= MAX_CONNECTIONS) {
      const from = own.length >= MAX_PER_CLIENT ? own : this.#ofBusiestClient();
      this.#onClosed();
      const silent = mostSilent(from);
      if (silent === undefined) {
        socket.destroy();
        return;
      }
      this.#drop(silent);
    }
    const key = keyOf(socket);
    const connection = { socket, client, requests: 0, silentMs: this.#now() };
    this.#all.set(key, connection);
    socket.once("close", () => {
      if (this.#all.get(key) === connection) {
        this.#all.delete(key);
      }
    });
  }

  /** Notes that a request has begun; the returned function notes that it has ended. */
  begin(socket: Socket): () => void {
    const connection = this.#all.get(keyOf(socket));
    if (connection === undefined) {
      return () => {};
    }
    connection.requests += 1;
    let isOver = false;
    return () => {
      if (!isOver) {
        isOver = true;
        connection.requests -= 1;
        connection.silentMs = this.#now();
      }
    };
  }

  /** Ends all, also those that have not asked anything. */
  destroyAll(): void {
    for (const connection of [...this.#all.values()]) {
      this.#drop(connection);
    }
  }

  get size(): number {
    return this.#all.size;
  }

  #drop(connection: Connection): void {
    this.#all.delete(keyOf(connection.socket));
    connection.socket.destroy();
  }

  #ofBusiestClient(): Connection[] {
    const byClient = new Map<string, Connection[]>();
    for (const connection of this.#all.values()) {
      const others = byClient.get(connection.client) ?? [];
      others.push(connection);
      byClient.set(connection.client, others);
    }
    return [...byClient.values()].reduce((a, b) => (b.length > a.length ? b : a), []);
  }
}

function mostSilent(connections: readonly Connection[]): Connection | undefined {
  return connections
    .filter(({ requests }) => requests === 0)
    .reduce<Connection | undefined>(
      (a, b) => (a === undefined || b.silentMs < a.silentMs ? b : a),
      undefined,
    );
}
