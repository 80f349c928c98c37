import type {
  ContainerCounters,
  NativeSession,
  SessionCounters,
  SessionFeatures,
  SessionMeasures,
  SessionOptions,
} from "../native/session.js";

/** What every engine needs to know to serve a tree. */
export type EngineOptions = SessionOptions;

/** Whose counters are asked for. */
export interface CountedContainer {
  readonly id: string;
  /** PID of its init as the host sees it. */
  readonly init?: number;
}

/** Serves the tree. Mount points, signals and logs are not an engine's business. */
export interface Engine {
  readonly name: string;
  /** Mounts and serves; returns a promise if that takes time. */
  start(): void | Promise<void>;
  /** Resolves to true if the unmount had to be lazy. */
  stop(unmount: boolean): Promise<boolean>;
  counters(): SessionCounters;
  /** Measurements of requests; empty if the engine takes none. */
  measures(): SessionMeasures;
  /** Counters of these containers, as NativeSession.containers(); empty if the engine has none. */
  containers(those: readonly CountedContainer[]): Promise<ContainerCounters[]>;
  features(): SessionFeatures;
  /** The ids of containers that show more CPUs than before, since the last call; without it this is not known. */
  moreCpus?(): readonly string[];
  /** The files of the tree as lines of the attach helper's settings. Without it the helper lists the tree. */
  files?(): readonly string[];
  /** The native session, if the engine has one. */
  readonly session?: NativeSession;
}

export type EngineFactory = (options: EngineOptions) => Engine;
