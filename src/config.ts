import { isAbsolute } from "node:path";
import * as z from "zod/mini";
import { LOG_FORMATS, LOG_LEVELS } from "./log.js";
import { parseAddress } from "./metrics/address.js";
import { hasControls } from "./text.js";

/** What help texts, error messages and documentation say about a key. */
interface KeyNotes {
  readonly description: string;
  /** "expected ..." in error messages. */
  readonly expects: string;
  /** The value's name in usage lines. */
  readonly placeholder: string;
  /** Values of earlier versions and what each is called now. They still work, with a warning. */
  readonly former?: Readonly<Record<string, string>>;
}

const notes = z.registry<KeyNotes>();

function integer(min: number, max: number, unit: string, description: string) {
  const expects = `an integer from ${min} to ${max}`;
  const schema = z.int().check(z.gte(min), z.lte(max));
  return schema.register(notes, { description, expects, placeholder: unit });
}

function oneOf<const T extends readonly [string, ...string[]]>(values: T, description: string) {
  const expects = `one of ${values.join(", ")}`;
  return z.enum(values).register(notes, { description, expects, placeholder: values.join("|") });
}

/** A yes-or-no option. `former` has the words that earlier versions had for on and off. */
function onOff(description: string, former?: { readonly on: string; readonly off: string }) {
  const words = former && { former: { [former.on]: "on", [former.off]: "off" } };
  const schema = z.enum(["on", "off"]);
  const placeholder = "on|off";
  return schema.register(notes, { description, expects: "on or off", placeholder, ...words });
}

function mountWord(description: string) {
  const schema = z.string().check(z.regex(/^[\w.:/@+-]{1,64}$/));
  const expects = "1 to 64 letters, digits or . : / @ + - _";
  return schema.register(notes, { description, expects, placeholder: "NAME" });
}

function patterns(description: string) {
  const schema = z
    .string()
    .check(z.refine((text) => [...text].length <= 4096 && !hasControls(text)));
  const expects = "shell patterns separated by commas";
  return schema.register(notes, { description, expects, placeholder: "PATTERNS" });
}

/** The one schema: flags, environment and file are all checked against it. */
export const ConfigSchema = z.strictObject({
  mountpoint: z._default(
    z
      .string()
      .check(z.refine((path) => isAbsolute(path) && !path.includes("\0")))
      .register(notes, {
        description: "where the tree is mounted",
        expects: "an absolute path",
        placeholder: "DIR",
      }),
    "/var/lib/vprocfs",
  ),
  fsType: z._default(
    mountWord("file system type shown in mount tables")
      .check(z.refine((type) => type === "fuse" || type.startsWith("fuse.")))
      .register(notes, {
        description: "file system type shown in mount tables",
        expects: "'fuse' or 'fuse.' and a name",
        placeholder: "TYPE",
      }),
    "fuse.lxcfs",
  ),
  source: z._default(mountWord("mount source shown in mount tables"), "vprocfs"),
  engine: z._default(
    oneOf(
      ["native", "fuse-native"],
      "what serves the tree; fuse-native needs libfuse 2 and serves containers/ only",
    ),
    "native",
  ),
  maxThreads: z._default(integer(2, 256, "N", "maximum number of worker threads"), 256),
  maxOpenPerContainer: z._default(
    integer(
      1,
      65_535,
      "N",
      "maximum number of files that a container and all nested in it may hold open; beyond it their opens fail with ENFILE",
    ),
    4096,
  ),
  rendersPerSecond: z._default(
    integer(
      0,
      10_000_000,
      "N",
      "maximum renders per second for a container and all nested in it; beyond it their reads wait (0: no limit)",
    ),
    20_000,
  ),
  maxCpuPerContainer: z._default(
    integer(
      0,
      25_600,
      "PERCENT",
      "maximum CPU time for the requests of a container and all nested in it, in percent of one CPU; beyond it they wait (0: no limit)",
    ),
    100,
  ),
  consistency: z._default(
    oneOf(
      ["exact", "tick"],
      "exact: each open sees one moment; tick: files come from the page cache, at most tick-ms old",
    ),
    "exact",
  ),
  tickMs: z._default(
    integer(
      1,
      1000,
      "MS",
      "how many milliseconds a file rendered for one reader is reused for others",
    ),
    10,
  ),
  maxTriggersPerContainer: z._default(
    integer(
      0,
      1024,
      "N",
      "maximum number of pressure triggers of a container and all nested in it; beyond it their writes fail with ENOSPC",
    ),
    32,
  ),
  bpf: z._default(
    oneOf(
      ["auto", "off"],
      "auto: count tasks with a BPF program if the kernel allows it; off: from files only",
    ),
    "auto",
  ),
  calls: z._default(
    onOff(
      "answer sysinfo(2) and syslog(2) of containers whose runtime hands them over, see install-hooks",
    ),
    "on",
  ),
  callsDirectory: z._default(
    z
      .string()
      // A socket's path has room for 107 bytes.
      .check(
        z.refine(
          (path) => isAbsolute(path) && !path.includes("\0") && Buffer.byteLength(path) <= 90,
        ),
      )
      .register(notes, {
        description: "directory of the sockets for such calls, lxc.sock and oci.sock",
        expects: "an absolute path of at most 90 bytes",
        placeholder: "DIR",
      }),
    "/run/vprocfs/calls",
  ),
  callsPerSecond: z._default(
    integer(
      0,
      10_000_000,
      "N",
      "maximum calls answered per second for a container and all nested in it; beyond it callers wait (0: no limit)",
    ),
    10_000,
  ),
  affinity: z._default(
    onOff("answer sched_getaffinity(2) too, with the CPUs that the files show under a quota", {
      on: "shown",
      off: "kernel",
    }),
    "off",
  ),
  kernelLog: z._default(onOff("keep a kernel log for every container, see dmesg"), "on"),
  watch: z._default(
    oneOf(
      ["auto", "on", "off"],
      "mount the files into every container automatically; auto: on, but not on vpsAdminOS",
    ),
    "auto",
  ),
  attachOnly: z._default(patterns("containers that get the files automatically"), "*"),
  attachExclude: z._default(
    patterns("containers that do not get them, even if attach-only matches"),
    "",
  ),
  skipFiles: z._default(patterns("files that are not replaced, such as proc/uptime"), ""),
  nested: z._default(
    onOff("also mount the files into services within containers that have their own /proc", {
      on: "follow",
      off: "ignore",
    }),
    "on",
  ),
  replaceLxcfs: z._default(
    onOff("replace files of LXCFS that are mounted in containers", {
      on: "yes",
      off: "no",
    }),
    "off",
  ),
  onStop: z._default(
    oneOf(
      ["detach", "leave"],
      "when stopping: unmount the files from all containers, or leave them mounted but dead",
    ),
    "detach",
  ),
  watchdogMs: z._default(
    integer(
      1000,
      600_000,
      "MS",
      "how many milliseconds a worker may be silent before the keeper replaces it",
    ),
    5000,
  ),
  patienceMs: z._default(
    integer(
      1000,
      600_000,
      "MS",
      "how many milliseconds readers wait without a worker before they get an error",
    ),
    10_000,
  ),
  standby: z._default(
    onOff("keep a second worker ready, so that a takeover does not wait for Node to start"),
    "on",
  ),
  metrics: z._default(
    z
      .string()
      .check(z.refine((text) => parseAddress(text) !== undefined))
      .register(notes, {
        description: "where to serve metrics: HOST:PORT, :PORT for all addresses, unix:PATH or off",
        expects: "HOST:PORT, :PORT, unix: and an absolute path, or off",
        placeholder: "ADDR",
      }),
    "127.0.0.1:9761",
  ),
  metricsWebConfig: z._default(
    z
      .string()
      .check(z.refine((path) => path === "" || (isAbsolute(path) && !path.includes("\0"))))
      .register(notes, {
        description: "TLS and passwords for metrics: a file in the format of Prometheus' exporters",
        expects: "an absolute path",
        placeholder: "FILE",
      }),
    "",
  ),
  logLevel: z._default(oneOf(LOG_LEVELS, "minimum level that is logged"), "info"),
  logFormat: z._default(
    oneOf(LOG_FORMATS, "log format; auto: text on a terminal and in systemd's journal, else json"),
    "auto",
  ),
});

export type Config = z.infer<typeof ConfigSchema>;
export type ConfigKey = keyof Config;

/** The configuration file if neither --config nor VPROCFS_CONFIG names one. */
export const DEFAULT_CONFIG_FILE = "/etc/vprocfs/vprocfs.toml";

export const ENV_PREFIX = "VPROCFS_";

/** The keys that `run --help` shows; `--help-all`, the manual page and the documentation have all. */
export const COMMON_KEYS: readonly ConfigKey[] = [
  "consistency",
  "calls",
  "watch",
  "attachOnly",
  "attachExclude",
  "skipFiles",
  "replaceLxcfs",
  "onStop",
  "metrics",
  "logLevel",
  "logFormat",
];

/** All keys, in the order of help texts. */
export const CONFIG_KEYS = Object.keys(ConfigSchema.shape) as ConfigKey[];

/** "maxThreads" as it is written in flags and files: "max-threads". */
export function kebabOf(key: ConfigKey): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** "maxThreads" as an environment variable: "VPROCFS_MAX_THREADS". */
export function variableOf(key: ConfigKey): string {
  return ENV_PREFIX + kebabOf(key).replaceAll("-", "_").toUpperCase();
}

/** Description, expectation and placeholder of a key. */
export function notesOf(key: ConfigKey): KeyNotes {
  const found = notes.get(ConfigSchema.shape[key].def.innerType);
  if (found === undefined) {
    throw new Error(`no notes for the key ${key}`);
  }
  return found;
}

/** The default value of a key. */
export function defaultOf(key: ConfigKey): string | number {
  return ConfigSchema.parse({})[key];
}
