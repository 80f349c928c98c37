import type { Container } from "../containers.js";
import type { FileName } from "../files.js";
import type { Programs } from "../programs.js";
import type { Stage } from "../stage.js";

export const PEER_NAMES = [
  "host",
  "tmpfs",
  "floor",
  "sources",
  "tick-sources",
  "lxcfs",
  "exact",
  "tick",
  "fuse-native",
] as const;
export type PeerName = (typeof PEER_NAMES)[number];

/** What a peer needs to start. */
export interface PeerContext {
  readonly stage: Stage;
  readonly programs: Programs;
  /** An empty directory on a tmpfs of its own, removed afterwards. */
  readonly directory: string;
  /** The path of cli.js of the vprocfs that is measured. */
  readonly cli: string;
  /** Whether it gets the highest priority. */
  readonly favoured: boolean;
  /** Whether a vprocfs serves metrics, as an installed one does, and runs its own copy of Node. */
  readonly metrics: boolean;
}

export interface StartTimes {
  /** Time from the launch of the first process. */
  readonly ms: number;
  /** Time from the launch of the process that answers, which the first process may have started. */
  readonly workerMs: number;
}

/** A running peer, which serves the files that containers read. */
export interface RunningPeer {
  /** The PID of the daemon's first process; undefined: the kernel itself serves. */
  readonly pid: number | undefined;
  /** The mount point, if the peer has a keeper. */
  readonly mountpoint?: string;
  /** Times from launch to the first successful read; undefined: there is no daemon. */
  readonly start: StartTimes | undefined;
  /** Whether every container gets the same figures, so that the view of containers is not checked. */
  readonly alike?: boolean;
  /** The path to mount over the container's file; undefined: the kernel's own file stays. */
  source(container: Container, file: FileName): Promise<string | undefined>;
}

export interface Peer {
  readonly name: PeerName;
  /** Its name in reports. */
  readonly title: string;
  /** Why it cannot take part; undefined: it can. */
  unavailable(cli: string): string | undefined;
  /** Starts it; throws an UnavailableError if it turns out that it cannot run here. */
  start(context: PeerContext): Promise<RunningPeer>;
}
