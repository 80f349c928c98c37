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
  /**
   * The files of its tree as lines of the attach helper's settings; in engines without, the helper
   * lists them.
   */
  files?(): readonly string[];
  /** The native session behind it, in engines that have one. */
  readonly session?: NativeSession;
}

export type EngineFactory = (options: EngineOptions) => Engine;
