import { setMaxListeners } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import * as z from "zod/mini";
import { messageOf, VprocfsError } from "../errors.js";
import { nativeCandidates } from "../layout.js";
import type { NativeBinding } from "../native/binding.js";
import { polledMountpointOf } from "../polled.js";

/** The helper's default timeout. */
export const HELPER_MS = 10_000;
/** The helper enforces its own timeout; this kills a helper that does not. */
const KILL_AFTER_MS = 30_000;

const ReportSchema = z.object({
  pid: z.int(),
  id: z.string(),
  files: z.array(
    z.object({
      path: z.string(),
      state: z.enum([
        "attached",
        "present",
        "replaced",
        "healed",
        "detached",
        "left",
        "missing",
        "failed",
      ]),
      reason: z.optional(z.string()),
    }),
  ),
  problems: z.array(z.string()),
  /** Nothing was done, because another run for the same tenant has not ended. */
  busy: z._default(z.boolean(), false),
  /** CPU time that the helper took, µs. */
  cpuUs: z.optional(z.number()),
  /** It failed because the node was short of descriptors, processes, memory or space. A later run may succeed. */
  isShort: z._default(z.boolean(), false),
});

/** What the helper did in one mount namespace. */
export type HelperReport = z.infer<typeof ReportSchema>;
type FileState = HelperReport["files"][number]["state"];

/** The path of the native helper. */
export function helperPath(): string {
  const path = nativeCandidates("vprocfs-attach").find((candidate) => existsSync(candidate));
  if (path === undefined) {
    throw new VprocfsError("ADDON", "the attach helper is not built: run 'npm run build'");
  }
  return path;
}

/** The program that hooks start, as one character for each byte; undefined: there is none for this processor. */
export function starterProgram(): string | undefined {
  const path = nativeCandidates("vprocfs-hook").find((candidate) => existsSync(candidate));
  return path && readFileSync(path, "latin1");
}

/** The part of the configuration that the helper gets. */
export interface HelperSettings {
  readonly mountpoint: string;
  /** The second mount point, of files that can be polled, if there is one. */
  readonly polled?: string;
  readonly fsType: string;
  readonly source: string;
  readonly skipFiles: readonly string[];
  readonly replaceLxcfs: boolean;
  /** False: no copies of proc and sysfs are mounted by which user namespaces may mount their own. */
  readonly copies?: boolean;
  /** The mount point of another vprocfs: its files are replaced, and containers without them are left alone. */
  readonly inPlaceOf?: string;
}

export interface HelperRun {
  readonly action: "attach" | "detach" | "check";
  readonly pid: number;
  readonly name: string;
  /** The container's name under containers/; without it the helper asks the mount. */
  readonly id?: string | undefined;
  /** When the helper gives up; HELPER_MS by default. */
  readonly timeoutMs?: number;
  /** Number of the tenant: runs with the same number exclude each other, whoever starts them. */
  readonly tenant?: number;
  /** Detach only the files of the kernel log. */
  readonly onlyLogs?: boolean;
  /** Paths in the container that are left as they are, such as "/proc/uptime". */
  readonly leave?: readonly string[];
}

/** Both mount points of a vprocfs. */
function placesOf(mountpoint: string | undefined): string[] {
  return mountpoint === undefined ? [] : [mountpoint, polledMountpointOf(mountpoint)];
}

function argumentsOf(settings: HelperSettings, run: HelperRun): string[] {
  return [
    ...(run.action === "attach" ? [] : [`--${run.action}`]),
    "--json",
    ...["--mountpoint", settings.mountpoint],
    ...(settings.polled === undefined ? [] : ["--polled", settings.polled]),
    ...["--type", settings.fsType, "--source", settings.source],
    ...["--name", run.name],
    ...(run.timeoutMs === undefined ? [] : ["--timeout-ms", String(run.timeoutMs)]),
    ...(run.id === undefined ? [] : ["--id", run.id]),
    ...(run.tenant === undefined ? [] : ["--tenant", String(run.tenant)]),
    ...(run.onlyLogs === true ? ["--logs"] : []),
    ...(run.leave ?? []).flatMap((place) => ["--leave", place]),
    ...settings.skipFiles.flatMap((pattern) => ["--skip", pattern]),
    ...(settings.replaceLxcfs ? ["--replace"] : []),
    ...(settings.copies === false ? ["--no-copies"] : []),
    ...placesOf(settings.inPlaceOf).flatMap((place) => ["--in-place-of", place]),
    String(run.pid),
  ];
}

/** Errors of a shortage that may pass, as the names of errno and in the words of strerror(3). */
const SHORT =
  /\b(EAGAIN|EMFILE|ENFILE|ENOBUFS|ENOMEM|ENOSPC)\b|Too many open files|Cannot allocate memory|Resource temporarily unavailable|No buffer space available|No space left on device/;

/** Whether an error says that the node is short of something. */
export function isShortage(message: string): boolean {
  return SHORT.test(message);
}

/** An error about one file that does not mean that the node is short: a container can fill its own file systems. */
const FULL = /\bENOSPC\b|No space left on device/;

function wasShort({ problems, files }: Pick<HelperReport, "problems" | "files">): boolean {
  const reasons = files.flatMap(({ state, reason = "" }) => (state === "failed" ? [reason] : []));
  return (
    problems.some(isShortage) || reasons.some((reason) => isShortage(reason) && !FULL.test(reason))
  );
}

/** runHelper() with a binding. */
export type RunHelper = (
  settings: HelperSettings,
  run: HelperRun,
  signal?: AbortSignal,
) => Promise<HelperReport>;

/** The report of a run that did nothing, with the reason. */
export function failed(run: HelperRun, problem: string): HelperReport {
  return {
    pid: run.pid,
    id: run.id ?? "",
    files: [],
    problems: [problem],
    busy: false,
    isShort: isShortage(problem),
  };
}

/** Aborts running helpers. There may be many, and Node would warn of more than ten listeners. */
export function helperAbort(): AbortController {
  const abort = new AbortController();
  setMaxListeners(0, abort.signal);
  return abort;
}

/**
 * Runs the helper in the mount namespace of one process; `signal` kills it. Never rejects: a failure is a
 * problem in the report.
 */
export async function runHelper(
  binding: Pick<NativeBinding, "run">,
  settings: HelperSettings,
  run: HelperRun,
  signal?: AbortSignal,
): Promise<HelperReport> {
  if (signal?.aborted === true) {
    return failed(run, "it was not started");
  }
  try {
    const program = binding.run([helperPath(), ...argumentsOf(settings, run)], KILL_AFTER_MS);
    const kill = (): void => program.kill();
    signal?.addEventListener("abort", kill);
    const { stdout, stderr, status } = await program.ended.finally(() =>
      signal?.removeEventListener("abort", kill),
    );
    const line = stderr.trim().replace(/^vprocfs-attach: /, "");
    if (stdout === "") {
      const end = status === null ? "it was killed" : "it printed nothing";
      return failed(run, line === "" ? end : line);
    }
    const report = ReportSchema.parse(JSON.parse(stdout));
    return { ...report, isShort: wasShort(report) };
  } catch (error) {
    // The helper is missing, cannot be started, or printed something else than a report.
    return failed(run, messageOf(error));
  }
}

/** The paths of a report's files that are in one of the states. */
export function pathsOf(report: HelperReport, ...states: readonly FileState[]): string[] {
  return report.files.filter(({ state }) => states.includes(state)).map(({ path }) => path);
}

/** How many files of a report are in one of the states. */
export function countOf(report: HelperReport, ...states: readonly FileState[]): number {
  return pathsOf(report, ...states).length;
}

/** The reasons why something failed, as one line; undefined: nothing failed. */
export function failureOf(report: HelperReport): string | undefined {
  const failed = report.files.filter(({ state }) => state === "failed");
  const reasons = [
    ...report.problems,
    ...failed.map(({ path, reason }) => `${path}: ${reason ?? "failed"}`),
  ];
  return reasons.length === 0 ? undefined : reasons.join("; ");
}
