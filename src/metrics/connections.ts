import type { Socket } from "node:net";

/** Of one client, and of all together: they can make us hold this many texts at most. */
const MAX_PER_CLIENT = 24;
const MAX_CONNECTIONS = 64;

interface Connection {
  readonly socket: Socket;
  readonly client: string;
  requests: number;
  /** Since when nothing was asked. */
  silentMs: number;
}

type Key = Socket | string;

/** A connection with TLS has two sockets, with the same port at the other end. */
function keyOf(socket: Socket): Key {
  const { remotePort, remoteAddress } = socket;
  return remotePort === undefined ? socket : `${remoteAddress} ${remotePort}`;
}

/**
 * Bounds connections, by client and by how long nothing was asked on them: whoever comes is let in
 * in the place of one that has nothing to say, and never of one that is being answered.
 */
export class Connections {
  readonly #all = new Map<Key, Connection>();
  readonly #onClosed: () => void;
  readonly #now: () => number;

  /** `onClosed` is told of each connection that is closed for another one, or not let in. */
  constructor(onClosed: () => void, now: () => number = () => performance.now()) {
    this.#onClosed = onClosed;
    this.#now = now;
  }

  /** Takes in a new connection; it is destroyed when there is no place for it. */
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

  /** A request has come on a connection; the function that is returned ends it. */
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
