import { setMaxListeners } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import * as z from "zod/mini";
import { messageOf, VprocfsError } from "../errors.js";
import { nativeCandidates } from "../layout.js";
import type { NativeBinding } from "../native/binding.js";
import { polledMountpointOf } from "../polled.js";

/** How long the helper goes on unless told. */
export const HELPER_MS = 10_000;
/** The helper kills what it started after its own timeout; this is for when even that hangs. */
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
  /** Another run for the same tenant has not ended: this one has done nothing. */
  busy: z._default(z.boolean(), false),
  /** CPU time that it took, µs. */
  cpuUs: z.optional(z.number()),
  /** It failed for want of descriptors, processes, memory or room: later it may not. */
  isShort: z._default(z.boolean(), false),
});

/** What the helper has done in one mount namespace. */
export type HelperReport = z.infer<typeof ReportSchema>;
export type FileState = HelperReport["files"][number]["state"];

/** Where the native helper is. */
export function helperPath(): string {
  const path = nativeCandidates("vprocfs-attach").find((candidate) => existsSync(candidate));
  if (path === undefined) {
    throw new VprocfsError("ADDON", "the attach helper is not built: run 'npm run build'");
  }
  return path;
}

/** The program that starts the helper as a hook, a byte for each character; not for every processor. */
export function starterProgram(): string | undefined {
  const path = nativeCandidates("vprocfs-hook").find((candidate) => existsSync(candidate));
  return path && readFileSync(path, "latin1");
}

/** What of the configuration the helper is told. */
export interface HelperSettings {
  readonly mountpoint: string;
  /** Where files are mounted that are polled, if they are. */
  readonly polled?: string;
  readonly fsType: string;
  readonly source: string;
  readonly skipFiles: readonly string[];
  readonly replaceLxcfs: boolean;
  /** The mount point of another vprocfs: its files are replaced, and only who has them is touched. */
  readonly inPlaceOf?: string;
}

export interface HelperRun {
  readonly action: "attach" | "detach" | "check";
  readonly pid: number;
  readonly name: string;
  /** Under containers/; without it the mount says which container the process is in. */
  readonly id?: string | undefined;
  /** When it gives up; HELPER_MS unless told. */
  readonly timeoutMs?: number;
  /** At most one run with this number at a time, whoever starts it. */
  readonly tenant?: number;
  /** To detach the files of its kernel log and no others. */
  readonly onlyLogs?: boolean;
  /** Places in the container that are left as they are: "/proc/uptime". */
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
    ...placesOf(settings.inPlaceOf).flatMap((place) => ["--in-place-of", place]),
    String(run.pid),
  ];
}

/** What there may be more of later, as errno has it and as strerror(3) says it. */
const SHORT =
  /\b(EAGAIN|EMFILE|ENFILE|ENOMEM|ENOSPC)\b|Too many open files|Cannot allocate memory|Resource temporarily unavailable|No space left on device/;

/** True for an error of that kind. */
export function isShortage(message: string): boolean {
  return SHORT.test(message);
}

/** A container can have its own file systems and mounts full: the node lacks nothing then. */
const FULL = /\bENOSPC\b|No space left on device/;

function wasShort({ problems, files }: Pick<HelperReport, "problems" | "files">): boolean {
  const reasons = files.flatMap(({ state, reason = "" }) => (state === "failed" ? [reason] : []));
  return (
    problems.some(isShortage) || reasons.some((reason) => isShortage(reason) && !FULL.test(reason))
  );
}

/** Runs the helper, see runHelper(); with a binding already. */
export type RunHelper = (
  settings: HelperSettings,
  run: HelperRun,
  signal?: AbortSignal,
) => Promise<HelperReport>;

/** A report of nothing but why nothing was done. */
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

/** For ending helpers, of which slow ones may be many: Node warns of more than ten at a time. */
export function helperAbort(): AbortController {
  const abort = new AbortController();
  setMaxListeners(0, abort.signal);
  return abort;
}

/**
 * Runs the helper for the mount namespace of one process, until `signal` ends it. Never rejects:
 * failures are problems.
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
    // It is not there, or there is no memory for a process.
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

/** Why something could not be done, as one line; undefined when all could. */
export function failureOf(report: HelperReport): string | undefined {
  const failed = report.files.filter(({ state }) => state === "failed");
  const reasons = [
    ...report.problems,
    ...failed.map(({ path, reason }) => `${path}: ${reason ?? "failed"}`),
  ];
  return reasons.length === 0 ? undefined : reasons.join("; ");
}
