// Reads a configuration from flags, environment and file.

import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { parse as parseToml, TomlError } from "smol-toml";
import {
  CONFIG_KEYS,
  type Config,
  type ConfigKey,
  ConfigSchema,
  DEFAULT_CONFIG_FILE,
  defaultOf,
  ENV_PREFIX,
  kebabOf,
  notesOf,
  variableOf,
} from "./config.js";
import { errnoOf, messageOf, VprocfsError } from "./errors.js";
import { didYouMean, printable } from "./text.js";

const FILE_VARIABLE = `${ENV_PREFIX}CONFIG`;
/**
 * Variables that are no settings: of our own keeper, test runner and benchmarks, which children inherit, and of the
 * scripts for runtimes in packaging/, which an administrator may set for every program.
 */
const FOREIGN_VARIABLES = /^VPROCFS_(?:(?:TEST|BENCH|KEEPER)_|(?:RUNTIME|ATTACH|HOOK)$)/;

/** A value, and how to name where it came from in an error. */
interface Setting {
  readonly value: unknown;
  readonly place: string;
}

type Settings = Map<ConfigKey, Setting>;

/** The value of a flag or variable: a number if the key wants one and the text is one. */
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

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EISDIR: "is a directory",
  ELOOP: "too many symbolic links",
  ENOENT: "no such file",
};

/** Pipes of a shell's `<(...)` or of the parent process. Opening any other named pipe could block for ever. */
const GIVEN_PIPE = /^\/(?:dev\/(?:fd\/|stdin$)|proc\/)/;

/** Throws if only the first reader gets what is in the file: each worker reads it anew. */
export function refusePipe(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isFIFO() === true) {
    const reason = "is a pipe, which each worker would read again";
    throw new VprocfsError("CONFIG", `${printable(path)}: ${reason}`);
  }
}

function readText(path: string, isRequired: boolean): string | undefined {
  try {
    if (statSync(path).isFIFO() && !GIVEN_PIPE.test(path)) {
      throw new VprocfsError("CONFIG", `${printable(path)}: is a named pipe`);
    }
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof VprocfsError) {
      throw error;
    }
    const code = errnoOf(error);
    if (!isRequired && (code === "ENOENT" || code === "ENOTDIR")) {
      return undefined;
    }
    const reason = REASONS[code ?? ""] ?? messageOf(error);
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

/** A value in today's spelling. `warn` gets a line for a spelling of an earlier version. */
function modernized(key: ConfigKey, setting: Setting, warn: (line: string) => void): unknown {
  const { value, place } = setting;
  const { former = {} } = notesOf(key);
  const now = typeof value === "string" && Object.hasOwn(former, value) ? former[value] : undefined;
  if (now !== undefined) {
    warn(`${place}: '${printable(String(value))}' is now called '${now}'`);
  }
  return now ?? value;
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

function check(settings: Settings, warn: (line: string) => void): Config {
  const values = Object.fromEntries(
    [...settings].map(([key, setting]) => [key, modernized(key, setting, warn)]),
  );
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
  /** The flags of the command line, as text. */
  readonly flags?: Readonly<Partial<Record<ConfigKey, string>>>;
  readonly env?: NodeJS.ProcessEnv;
  /** --config */
  readonly file?: string | undefined;
  readonly defaultFile?: string;
  /** Gets a line for each setting in a former spelling. */
  readonly warn?: (line: string) => void;
}

/** The file that is read, and whether it must exist. */
export function configFileOf(inputs: ConfigInputs): { path: string; isRequired: boolean } {
  const { env = process.env, defaultFile = DEFAULT_CONFIG_FILE } = inputs;
  const named = inputs.file ?? env[FILE_VARIABLE];
  return { path: resolve(named ?? defaultFile), isRequired: named !== undefined };
}

/** Flags over environment over file over defaults. Throws a VprocfsError that names the culprit. */
export function loadConfig(inputs: ConfigInputs = {}): Config {
  const { flags = {}, env = process.env, warn = () => {} } = inputs;
  const { path, isRequired } = configFileOf(inputs);
  return check(
    new Map([...readFile(path, isRequired), ...readEnvironment(env), ...readFlags(flags)]),
    warn,
  );
}
