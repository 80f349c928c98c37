import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { createInterface } from "node:readline";
import { z } from "zod";
import type { Container } from "./containers.js";

const latenciesSchema = z.object({
  count: z.number(),
  mean: z.number(),
  max: z.number(),
  p50: z.number(),
  p90: z.number(),
  p99: z.number(),
  p999: z.number(),
});

/** The output of the load program; times in ns unless named otherwise. */
const loadResultSchema = z.object({
  /** Times of each successful open+read+close. */
  service: latenciesSchema,
  /** With a rate: times of each round, from when it was due. */
  response: latenciesSchema,
  errors: z.number(),
  /** Errors by errno. */
  errnos: z.record(z.string(), z.number()),
  empty: z.number(),
  cut: z.number(),
  bytes: z.number(),
  /** CPU time of the readers. */
  cpuUs: z.number(),
  seconds: z.number(),
});
export type LoadResult = z.infer<typeof loadResultSchema>;

export interface LoadOptions {
  /** Paths in the containers. */
  readonly paths: readonly string[];
  /** One process runs in each; if there are none, one on the host. */
  readonly containers: readonly Container[];
  /** Threads per process. */
  readonly threads?: number;
  /** Rounds over all paths per second and thread; without it as many as possible. */
  readonly rate?: number;
  /** How long to run; or `count`, the rounds per thread. */
  readonly seconds?: number;
  readonly count?: number;
  /** Rounds per thread that are not measured; 10 unless told. */
  readonly warmup?: number;
  /** One read(2) per open instead of reading to the end of file. */
  readonly single?: boolean;
  /** Puts each file into an epoll set after the open, as Go's os.Open does. */
  readonly poller?: boolean;
}

export interface RunningLoad {
  /** Resolves when all readers have warmed up and the measurement begins. */
  readonly started: Promise<void>;
  /** Rejects if a reader could not do its work. */
  readonly result: Promise<LoadResult>;
  /** Ends it early; the result covers the time until then. */
  stop(): void;
}

function loadArguments(options: LoadOptions): string[] {
  const flags: readonly (readonly [string, number | undefined])[] = [
    ["--threads", options.threads],
    ["--rate", options.rate],
    ["--seconds", options.seconds],
    ["--count", options.count],
    ["--warmup", options.warmup],
  ];
  return [
    ...options.paths.flatMap((path) => ["--path", path]),
    ...options.containers.flatMap(({ pid, cgroups }) => ["--enter", [pid, ...cgroups].join(":")]),
    ...flags.flatMap(([flag, value]) => (value === undefined ? [] : [flag, `${value}`])),
    ...(options.single === true ? ["--single"] : []),
    ...(options.poller === true ? ["--poller"] : []),
  ];
}

/** The number of failed, empty and truncated reads. */
export function failedReads(result: LoadResult): number {
  return result.errors + result.empty + result.cut;
}

/** The names of the errors. */
function errorNames(errnos: LoadResult["errnos"]): string {
  const names = new Map(Object.entries(constants.errno).map(([name, code]) => [`${code}`, name]));
  return Object.keys(errnos)
    .map((code) => names.get(code) ?? `errno ${code}`)
    .join(", ");
}

/** Starts the load program. */
export function startLoad(program: string, options: LoadOptions): RunningLoad {
  const child = spawn(program, loadArguments(options), { stdio: ["ignore", "pipe", "pipe"] });
  const complaints: string[] = [];
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const closed = once(child, "close");
  const started = new Promise<void>((resolve) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      if (line === "started") {
        resolve();
      } else {
        complaints.push(line);
      }
    });
    // If it ends before it has started, the result says why.
    closed.then(
      () => resolve(),
      () => resolve(),
    );
  });
  const finish = async (): Promise<LoadResult> => {
    await closed;
    if (child.exitCode !== 0) {
      throw new Error(complaints.join("; ") || `load: ended by ${child.signalCode}`);
    }
    const result = loadResultSchema.parse(JSON.parse(output));
    if (result.service.count === 0) {
      const paths = options.paths.join(", ");
      throw new Error(`not one read of ${paths} worked: ${errorNames(result.errnos)}`);
    }
    return result;
  };
  const result = finish();
  // It may reject before the caller awaits it, which must not count as unhandled.
  result.catch(() => undefined);
  return { started, result, stop: () => child.kill("SIGTERM") };
}
