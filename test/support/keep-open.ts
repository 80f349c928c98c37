import { createInterface } from "node:readline";
import type { Container } from "./container.js";
import type { Scope } from "./scope.js";

/** Reads an open file again from the start whenever asked. */
const KEEP_OPEN = `
import sys
f = open(sys.argv[1], "rb", buffering=0)
for _ in sys.stdin:
    f.seek(0)
    print(f.read().decode().split("\\n")[0], flush=True)
`;

interface Uptime {
  readonly uptime: number;
  readonly idle: number;
}

/** Has a program in a container open an uptime file, and returns what asks it to read that again. */
export function keepUptimeOpen(own: Scope, one: Container, file: string): () => Promise<Uptime> {
  const child = one.start(own, ["python3", "-c", KEEP_OPEN, file]);
  if (child.stdin === null || child.stdout === null) {
    throw new Error("no pipes");
  }
  const { stdin } = child;
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return async () => {
    stdin.write("\n");
    const [uptime = Number.NaN, idle = Number.NaN] = `${(await lines.next()).value}`
      .split(" ")
      .map(Number);
    return { uptime, idle };
  };
}
