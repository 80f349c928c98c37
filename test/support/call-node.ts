// A daemon that answers system calls of containers, and the runtimes that hand them over.

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "vitest";
import type { Kind } from "./calls.js";
import { Daemon } from "./daemon.js";
import { testName } from "./names.js";
import type { Scope } from "./scope.js";
import { itLong } from "./size.js";
import { until } from "./wait.js";

export interface CallNode {
  readonly daemon: Daemon;
  readonly sockets: string;
}

/** A directory for sockets; short: the path of one has room for 107 bytes. */
export function socketsDirectory(scope: Scope): string {
  const sockets = mkdtempSync(join(tmpdir(), `${testName("c")}-`));
  scope.defer(() => rmSync(sockets, { recursive: true }));
  return sockets;
}

export async function startIn(scope: Scope, sockets: string, ...args: string[]): Promise<Daemon> {
  const daemon = await Daemon.start(scope, "--calls-directory", sockets, ...args);
  // One that waited for its place with another one's sockets has it later than it serves.
  await until("it listens", () => existsSync(join(sockets, "oci.sock")));
  return daemon;
}

export async function startCallNode(scope: Scope, ...args: string[]): Promise<CallNode> {
  const sockets = socketsDirectory(scope);
  return { daemon: await startIn(scope, sockets, ...args), sockets };
}

interface CallKind {
  readonly kind: Kind;
  readonly mapped: boolean;
  /** Programs of the host. */
  readonly needs: readonly string[];
}

export const CALL_KINDS: readonly CallKind[] = [
  { kind: "runc", mapped: false, needs: ["runc"] },
  { kind: "runc", mapped: true, needs: ["runc"] },
  { kind: "crun", mapped: false, needs: ["crun"] },
  { kind: "crun", mapped: true, needs: ["crun"] },
  { kind: "podman", mapped: false, needs: ["podman", "runc"] },
  { kind: "lxc", mapped: false, needs: ["lxc-create", "lxc-attach"] },
  { kind: "lxc", mapped: true, needs: ["lxc-create", "lxc-attach", "newuidmap"] },
];

export const titleOf = ({ kind, mapped }: CallKind): string =>
  mapped ? `${kind} with a user namespace` : kind;

/** One for each way in which calls are handed over: a listener, and one of LXC's monitors. */
const WAYS = ["runc", "lxc with a user namespace"];

/** For what workers and keepers do, who know these ways and no kinds: the other kinds are for the long form. */
export const itOfWay = (one: CallKind): typeof it => (WAYS.includes(titleOf(one)) ? it : itLong);
