import type { Container } from "../containers.js";
import type { FileName } from "../files.js";
import type { Programs } from "../programs.js";
import type { Stage } from "../stage.js";

export const PEER_NAMES = [
  "host",
  "tmpfs",
  "floor",
  "lxcfs",
  "exact",
  "tick",
  "fuse-native",
] as const;
export type PeerName = (typeof PEER_NAMES)[number];

/** What a peer needs for its start. */
export interface PeerContext {
  readonly stage: Stage;
  readonly programs: Programs;
  /** An empty directory on a tmpfs of its own, removed afterwards. */
  readonly directory: string;
  /** The vprocfs that is measured: path of its cli.js. */
  readonly cli: string;
  /** It goes before everything else on the machine. */
  readonly favoured: boolean;
  /** A vprocfs serves its metrics, as it does when it is installed, and shares no Node with others. */
  readonly metrics: boolean;
}

export interface StartTimes {
  /** From the launch of the first process. */
  readonly ms: number;
  /** From the launch of the process that answers: one that another process may have started. */
  readonly workerMs: number;
}

/** Somebody who serves the files that containers read. */
export interface RunningPeer {
  /** The first of the daemon's processes; undefined when it is the kernel itself. */
  readonly pid: number | undefined;
  /** Where the peer is mounted, if it has a keeper that can be asked there. */
  readonly mountpoint?: string;
  /** From launch to the first successful read; undefined when there is no daemon. */
  readonly start: StartTimes | undefined;
  /** Tells every container the same: no daemon like those that are looked at. */
  readonly alike?: boolean;
  /** What is bound over the container's file; undefined: the kernel's own stays. */
  source(container: Container, file: FileName): Promise<string | undefined>;
}

export interface Peer {
  readonly name: PeerName;
  /** As it stands in reports. */
  readonly title: string;
  /** Why it cannot take part, undefined if it can. */
  unavailable(cli: string): string | undefined;
  /** Throws an UnavailableError when it turns out that it cannot run here. */
  start(context: PeerContext): Promise<RunningPeer>;
}
