import type { Context } from "../../src/commands/context.js";
import type {
  ContainerInfo,
  NativeBinding,
  NativeWatch,
  Survey,
} from "../../src/native/binding.js";
import type { NativeSession, SessionOptions } from "../../src/native/session.js";

/** A container with some limits; `change` sets what matters to a test. */
export function container(change: Partial<ContainerInfo> = {}): ContainerInfo {
  return {
    id: "1a2b",
    tenant: "1a2b",
    name: "web1",
    runtime: "lxc",
    cgroup: "/lxc.payload.web1",
    init: 4711,
    cgroups: {},
    memoryLimit: 256 * 1024 * 1024,
    swapLimit: null,
    cpus: 2,
    cpuQuota: 1.5,
    ...change,
  };
}

/** A watch that nothing ever happens to. */
export class FakeWatch implements NativeWatch {
  start(): void {}
  stop(): void {}
  follow(): "followed" {
    return "followed";
  }
  state() {
    return { known: 0, limit: 0, tenantLimit: 0, refused: 0, short: 0, shortages: 0 };
  }
  tenantOf(_pid: number): number {
    return 1;
  }
  representativeOf(pid: number) {
    return { pid, isInit: false };
  }
}

/** A session without a kernel: records its calls, ends when told. */
export class FakeSession implements NativeSession {
  readonly calls: string[] = [];
  startError: Error | undefined;
  stopError: Error | undefined;
  lazy = false;

  constructor(readonly options: SessionOptions) {}

  start(): void {
    this.calls.push("start");
    if (this.startError !== undefined) {
      throw this.startError;
    }
    this.options.onServing();
  }

  async stop(unmount: boolean): Promise<boolean> {
    this.calls.push(`stop ${unmount}`);
    if (this.stopError !== undefined) {
      throw this.stopError;
    }
    return this.lazy;
  }

  counters(): never {
    throw new Error("not faked");
  }

  takeMetricsSocket(): number {
    return -1;
  }

  keepMetricsSocket(): void {}

  moreCpus(): string[] {
    return [];
  }

  measures(): never {
    throw new Error("not faked");
  }

  containers(): never {
    throw new Error("not faked");
  }

  kernelLog(): never {
    throw new Error("not faked");
  }

  files(): string[] {
    return [];
  }

  features() {
    return {
      protocolMajor: 7,
      protocolMinor: 45,
      resend: true,
      maxReadahead: 0,
      tick: this.options.consistency === "tick",
      stateIgnored: "",
      taskCounter: "",
      taskCounterFallback: "",
    };
  }
}

/** The native addon as far as commands use it. */
export function fakeBinding(
  containers: readonly ContainerInfo[],
  byPid: (pid: number) => ContainerInfo | null = () => null,
): NativeBinding {
  return {
    version: "0.1.0",
    Session: FakeSession,
    Renderer: class {
      constructor() {
        throw new Error("not faked");
      }
      declare list: () => string[];
      declare render: () => Buffer;
      declare look: () => null;
      declare close: () => void;
    },
    Surveyor: class {
      static readonly figures: readonly string[] = [];
      constructor() {
        throw new Error("not faked");
      }
      declare take: () => Promise<Survey>;
      declare readInside: (
        pid: number,
        path: string,
        device: string,
        directory: string,
      ) => Promise<string>;
    },
    Watch: FakeWatch,
    scanContainers: () => [...containers],
    locateContainers: () => [...containers],
    nodeMemory: () => ({ total: 2 ** 34, available: 2 ** 33, arc: 0 }),
    containerOf: byPid,
    locationOf: byPid,
    identityOf: byPid,
    views: () =>
      ["proc/meminfo", "proc/stat", "sys/devices/system/cpu/online"].map((path, index) => ({
        index: index + 1,
        path,
        mode: 0o444,
      })),
    run: () => {
      throw new Error("not faked");
    },
    unmount: () => false,
    fnmatch: (pattern, name) => pattern === name,
    trimMemory: () => {},
    openat2Error: () => 0,
    exitNow: () => {
      throw new Error("not faked");
    },
    exec: () => {
      throw new Error("not faked");
    },
  };
}

/** Where a command line under test leaves what it printed. */
export interface Outcome {
  out: string;
  err: string;
  status: number;
}

/** A context that collects; without a binding, loading the addon is an error of the test. */
export function collecting(
  outcome: Outcome,
  binding?: NativeBinding,
  env: NodeJS.ProcessEnv = {},
): Context {
  return {
    addon: () => {
      if (binding === undefined) {
        throw new Error("the addon was loaded");
      }
      return binding;
    },
    env,
    configFile: "/nonexistent/vprocfs.toml",
    print: (text) => {
      outcome.out += `${text}\n`;
    },
    warn: (line) => {
      outcome.err += line;
    },
    exit: (status) => {
      outcome.status = status;
    },
  };
}
