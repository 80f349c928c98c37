import type {
  CallOptions,
  ContainerCounters,
  Inheritance,
  NativeSession,
  SessionCounters,
  SessionFeatures,
  SessionMeasures,
} from "../native/binding.js";

/** What every engine needs to know to serve a tree. */
export interface EngineOptions {
  readonly mountpoint: string;
  readonly fsType: string;
  readonly source: string;
  readonly maxThreads: number;
  readonly maxOpenPerContainer: number;
  readonly rendersPerSecond: number;
  readonly consistency: "exact" | "tick";
  readonly tickMs: number;
  readonly maxTriggersPerContainer: number;
  readonly bpf: "auto" | "off";
  /** How system calls are answered; not at all without it. */
  readonly calls?: CallOptions;
  /** Whether containers have kernel logs of their own. */
  readonly kernelLog?: boolean;
  /** Under a keeper: serving begins when it says so, on the connection that it keeps. */
  readonly inherit?: Inheritance;
  /** Called once when it serves: at once, or when the keeper has it take over. */
  readonly onServing: () => void;
  /** Called once when serving ends without stop(). */
  readonly onEnd: (reason: string) => void;
}

/** Something that serves the tree. Policy (mount points, signals, logs) is not its business. */
export interface Engine {
  readonly name: string;
  /** Mounts and serves; an engine that cannot do that at once returns a promise. */
  start(): void | Promise<void>;
  /** Resolves to true when the unmount had to be lazy. */
  stop(unmount: boolean): Promise<boolean>;
  counters(): SessionCounters;
  /** What it measures of requests; nothing in engines that do not. */
  measures(): SessionMeasures;
  /** What it counts of these containers; nothing in engines that do not. */
  containers(ids: readonly string[]): ContainerCounters[];
  features(): SessionFeatures;
  /** The native session behind it, in engines that have one. */
  readonly session?: NativeSession;
}

export type EngineFactory = (options: EngineOptions) => Engine;
