import { readFileSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { parse as parseToml, TomlError } from "smol-toml";
import { z } from "zod";
import { errnoOf, messageOf, VprocfsError } from "./errors.js";
import { LOG_FORMATS, LOG_LEVELS } from "./log.js";
import { parseAddress } from "./metrics/address.js";
import { didYouMean, printable } from "./text.js";

/** What help texts, error messages and documentation say about a key. */
export interface KeyNotes {
  readonly description: string;
  /** "expected ..." in error messages. */
  readonly expects: string;
  /** The value's name in usage lines. */
  readonly placeholder: string;
}

const notes = z.registry<KeyNotes>();

function integer(least: number, most: number, unit: string, description: string) {
  const expects = `an integer from ${least} to ${most}`;
  const schema = z.int().min(least).max(most);
  return schema.register(notes, { description, expects, placeholder: unit });
}

function oneOf<const T extends readonly [string, ...string[]]>(values: T, description: string) {
  const expects = `one of ${values.join(", ")}`;
  return z.enum(values).register(notes, { description, expects, placeholder: values.join("|") });
}

function mountWord(description: string) {
  const schema = z.string().regex(/^[\w.:/@+-]{1,64}$/);
  const expects = "1 to 64 letters, digits or . : / @ + - _";
  return schema.register(notes, { description, expects, placeholder: "NAME" });
}

function patterns(description: string) {
  const schema = z.string().regex(/^[^\p{Cc}]{0,4096}$/u);
  const expects = "shell patterns separated by commas";
  return schema.register(notes, { description, expects, placeholder: "PATTERNS" });
}

/** The one schema: flags, environment and file are all checked against it. */
export const ConfigSchema = z.strictObject({
  mountpoint: z
    .string()
    .refine((path) => isAbsolute(path) && !path.includes("\0"))
    .register(notes, {
      description: "where the tree is mounted",
      expects: "an absolute path",
      placeholder: "DIR",
    })
    .default("/var/lib/vprocfs"),
  fsType: mountWord("file system type shown in mount tables")
    .refine((type) => type === "fuse" || type.startsWith("fuse."))
    .register(notes, {
      description: "file system type shown in mount tables",
      expects: "'fuse' or 'fuse.' and a name",
      placeholder: "TYPE",
    })
    .default("fuse.lxcfs"),
  source: mountWord("mount source shown in mount tables").default("vprocfs"),
  engine: oneOf(
    ["native", "fuse-native"],
    "what serves the tree; fuse-native: by libfuse 2 and JavaScript, containers/ only",
  ).default("native"),
  maxThreads: integer(2, 256, "N", "worker threads at most").default(64),
  maxOpenPerContainer: integer(
    1,
    65_535,
    "N",
    "files that one container, with all nested in it, may hold open; past that its own opens fail with ENFILE",
  ).default(4096),
  rendersPerSecond: integer(
    0,
    10_000_000,
    "N",
    "how often a second files are made anew for one container, with all nested in it; past that its readers wait (0: no limit)",
  ).default(20_000),
  consistency: oneOf(
    ["exact", "tick"],
    "exact: each open sees one moment; tick: files come out of the page cache, at most tick-ms old",
  ).default("exact"),
  tickMs: integer(
    1,
    1000,
    "MS",
    "for how many milliseconds what was made for one reader serves the next one",
  ).default(10),
  maxTriggersPerContainer: integer(
    0,
    1024,
    "N",
    "pressure triggers that one container, with all nested in it, may hold; past that its own writes fail with ENOSPC",
  ).default(32),
  bpf: oneOf(
    ["auto", "off"],
    "auto: tasks are counted by a BPF program where the kernel takes it; off: from files only",
  ).default("auto"),
  calls: oneOf(
    ["on", "off"],
    "whether sysinfo(2) is answered for containers whose runtime hands it over, see install-hooks",
  ).default("on"),
  callsDirectory: z
    .string()
    // A socket's path has room for 107 bytes.
    .refine((path) => isAbsolute(path) && !path.includes("\0") && Buffer.byteLength(path) <= 90)
    .register(notes, {
      description: "where runtimes find the sockets for that, lxc.sock and oci.sock",
      expects: "an absolute path of at most 90 bytes",
      placeholder: "DIR",
    })
    .default("/run/vprocfs/calls"),
  callsPerSecond: integer(
    0,
    10_000_000,
    "N",
    "how many such calls of one container are answered in a second; past that its callers wait (0: no limit)",
  ).default(10_000),
  affinity: oneOf(
    ["kernel", "shown"],
    "what sched_getaffinity(2) tells where only a quota limits CPUs: all of them, or those shown",
  ).default("kernel"),
  watch: oneOf(
    ["auto", "on", "off"],
    "whether containers get the files without being asked to; auto: on, but not on vpsAdminOS",
  ).default("auto"),
  attachOnly: patterns("containers that get the files by themselves").default("*"),
  attachExclude: patterns("containers that do not, though attach-only matches").default(""),
  skipFiles: patterns("files that stay the kernel's, such as proc/uptime").default(""),
  nested: oneOf(
    ["follow", "ignore"],
    "services in containers that get a /proc of their own: give them the files too, or not",
  ).default("follow"),
  replaceLxcfs: oneOf(
    ["no", "yes"],
    "whether files of an LXCFS in a container are replaced without being asked to",
  ).default("no"),
  onStop: oneOf(
    ["detach", "leave"],
    "when stopped: take the files out of all containers, or leave them there without an answer",
  ).default("detach"),
  watchdogMs: integer(
    1000,
    600_000,
    "MS",
    "silence of a worker, in milliseconds, after which the keeper replaces it",
  ).default(5000),
  patienceMs: integer(
    1000,
    600_000,
    "MS",
    "for how many milliseconds without a worker readers wait before they get an error",
  ).default(10_000),
  standby: oneOf(
    ["on", "off"],
    "on: a second worker is kept ready, so that a takeover does not wait for Node to start",
  ).default("on"),
  metrics: z
    .string()
    .refine((text) => parseAddress(text) !== undefined)
    .register(notes, {
      description: "where metrics are served: HOST:PORT, :PORT for all addresses, unix:PATH or off",
      expects: "HOST:PORT, :PORT, unix: and an absolute path, or off",
      placeholder: "ADDR",
    })
    .default("127.0.0.1:9761"),
  metricsWebConfig: z
    .string()
    .refine((path) => path === "" || (isAbsolute(path) && !path.includes("\0")))
    .register(notes, {
      description: "TLS and passwords for metrics: a file in the form of Prometheus' exporters",
      expects: "an absolute path",
      placeholder: "FILE",
    })
    .default(""),
  logLevel: oneOf(LOG_LEVELS, "least level that is logged").default("info"),
  logFormat: oneOf(
    LOG_FORMATS,
    "form of the log; auto is text on a terminal and in systemd's journal, else json",
  ).default("auto"),
});

export type Config = z.infer<typeof ConfigSchema>;
export type ConfigKey = keyof Config;

/** Where the file is looked for when neither --config nor VPROCFS_CONFIG names one. */
export const DEFAULT_CONFIG_FILE = "/etc/vprocfs/vprocfs.toml";

const ENV_PREFIX = "VPROCFS_";
const FILE_VARIABLE = `${ENV_PREFIX}CONFIG`;
/** Variables of our own keeper, test runner and benchmarks, which children inherit. */
const FOREIGN_VARIABLES = /^VPROCFS_(?:TEST|BENCH|KEEPER)_/;

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
  const found = notes.get(ConfigSchema.shape[key].unwrap());
  if (found === undefined) {
    throw new Error(`no notes for the key ${key}`);
  }
  return found;
}

/** The value a key has when nothing sets it. */
export function defaultOf(key: ConfigKey): string | number {
  return ConfigSchema.parse({})[key];
}

/** A value, and how to name where it came from in an error. */
interface Setting {
  readonly value: unknown;
  readonly place: string;
}

type Settings = Map<ConfigKey, Setting>;

/** Text from a flag or a variable; digits become a number where the key wants one. */
function fromText(key: ConfigKey, text: string): unknown {
  const wantsNumber = typeof defaultOf(key) === "number";
  return wantsNumber && /^\d{1,15}$/.test(text) ? Number(text) : text;
}

function unknownKey(place: string, key: string, known: readonly string[]): VprocfsError {
  const hint = didYouMean(key, known);
  return new VprocfsError("CONFIG", `${place}: unknown key '${printable(key)}'${hint}`);
}

function readFlags(flags: Readonly<Partial<Record<ConfigKey, string>>>): Settings {
  const settings: Settings = new Map();
  for (const key of CONFIG_KEYS) {
    const text = flags[key];
    if (text !== undefined) {
      settings.set(key, { value: fromText(key, text), place: `option --${kebabOf(key)}` });
    }
  }
  return settings;
}

function readEnvironment(env: NodeJS.ProcessEnv): Settings {
  const settings: Settings = new Map();
  const byVariable = new Map(CONFIG_KEYS.map((key) => [variableOf(key), key]));
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith(ENV_PREFIX) || name === FILE_VARIABLE || text === undefined) {
      continue;
    }
    const key = byVariable.get(name);
    if (key !== undefined) {
      settings.set(key, { value: fromText(key, text), place: `environment: ${name}` });
    } else if (!FOREIGN_VARIABLES.test(name)) {
      throw unknownKey("environment", name, [...byVariable.keys(), FILE_VARIABLE]);
    }
  }
  return settings;
}

function readText(path: string, isRequired: boolean): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = errnoOf(error);
    if (!isRequired && (code === "ENOENT" || code === "ENOTDIR")) {
      return undefined;
    }
    const reason = code === "ENOENT" ? "no such file" : messageOf(error);
    throw new VprocfsError("CONFIG", `${printable(path)}: ${reason}`, { cause: error });
  }
}

function parseFile(path: string, text: string): Record<string, unknown> {
  try {
    return parseToml(text);
  } catch (error) {
    if (!(error instanceof TomlError)) {
      throw error;
    }
    const reason = error.message.split("\n")[0]?.replace(/^Invalid TOML document: /, "") ?? "";
    const place = `${printable(path)}:${error.line}:${error.column}`;
    throw new VprocfsError("CONFIG", `${place}: ${reason}`, { cause: error });
  }
}

function readFile(path: string, isRequired: boolean): Settings {
  const settings: Settings = new Map();
  const text = readText(path, isRequired);
  if (text === undefined) {
    return settings;
  }
  const byName = new Map(CONFIG_KEYS.map((key) => [kebabOf(key), key]));
  for (const [name, value] of Object.entries(parseFile(path, text))) {
    const key = byName.get(name);
    if (key === undefined) {
      throw unknownKey(printable(path), name, [...byName.keys()]);
    }
    settings.set(key, { value, place: `${printable(path)}: ${name}` });
  }
  return settings;
}

function show(value: unknown): string {
  if (typeof value === "string") {
    return `'${printable(value)}'`;
  }
  if (typeof value === "object" && value !== null) {
    return Array.isArray(value) ? "an array" : value instanceof Date ? "a date" : "a table";
  }
  return String(value);
}

function check(settings: Settings): Config {
  const values = Object.fromEntries([...settings].map(([key, { value }]) => [key, value]));
  const result = ConfigSchema.safeParse(values);
  if (result.success) {
    return result.data;
  }
  const key = CONFIG_KEYS.find((name) => name === result.error.issues[0]?.path[0]);
  const setting = key === undefined ? undefined : settings.get(key);
  if (key === undefined || setting === undefined) {
    throw new VprocfsError("CONFIG", messageOf(result.error));
  }
  const { expects } = notesOf(key);
  const found = show(setting.value);
  throw new VprocfsError("CONFIG", `${setting.place}: expected ${expects}, found ${found}`);
}

export interface ConfigInputs {
  /** Raw text of flags that were given. */
  readonly flags?: Readonly<Partial<Record<ConfigKey, string>>>;
  readonly env?: NodeJS.ProcessEnv;
  /** --config */
  readonly file?: string | undefined;
  readonly defaultFile?: string;
}

/** Flags over environment over file over defaults. Throws a VprocfsError that names the culprit. */
export function loadConfig(inputs: ConfigInputs = {}): Config {
  const { flags = {}, env = process.env, defaultFile = DEFAULT_CONFIG_FILE } = inputs;
  const named = inputs.file ?? env[FILE_VARIABLE];
  const path = named === undefined ? defaultFile : resolve(named);
  return check(
    new Map([...readFile(path, named !== undefined), ...readEnvironment(env), ...readFlags(flags)]),
  );
}
