// The program that the keeper starts as worker and standby. It is no command of program.ts, so that it loads
// only what serving needs.

import { parseArgs } from "node:util";
import { companionsOf, engineOptions, makeCallsDirectory } from "./compose.js";
import { CONFIG_KEYS, type Config, type ConfigKey, kebabOf } from "./config.js";
import { loadConfig } from "./config-load.js";
import { serve } from "./daemon.js";
import { nativeEngine } from "./engine/native.js";
import { messageOf, statusOf, VprocfsError } from "./errors.js";
import { garbageCollector } from "./garbage.js";
import { reportToKeeper, workplace } from "./keeper.js";
import { readStatus } from "./keeper-status.js";
import { createLogger } from "./log.js";
import { isOnTop, realSystem } from "./mountpoint.js";
import type { NativeBinding } from "./native/binding.js";
import { polledMountpointOf } from "./polled.js";
import { servingFlags } from "./serving-flags.js";

/** Everything that a worker uses of the system, for tests. */
interface WorkerContext {
  addon(): NativeBinding;
  readonly env: NodeJS.ProcessEnv;
  readonly configFile?: string;
}

/** The options of `vprocfs run`, which has checked them already. */
const OPTIONS = {
  ...Object.fromEntries(CONFIG_KEYS.map((key) => [kebabOf(key), { type: "string" } as const])),
  config: { type: "string", short: "c" },
  json: { type: "boolean" },
  "no-watch": { type: "boolean" },
  "no-keeper": { type: "boolean" },
} as const;

/** The configuration from a worker's arguments, which are those of `run`. */
export function workerConfig(
  argv: readonly string[],
  context: Omit<WorkerContext, "addon">,
): Config {
  // Not strict: a value may begin with a dash.
  const { values, positionals } = parseArgs({
    args: [...argv],
    options: OPTIONS,
    allowPositionals: true,
    strict: false,
  });
  const unknown = Object.keys(values).find((name) => !Object.hasOwn(OPTIONS, name));
  if (unknown !== undefined) {
    throw new VprocfsError("USAGE", `unknown option '--${unknown}'`);
  }
  const textOf = (name: string): string | undefined => {
    const value = Object.entries(values).find(([key]) => key === name)?.[1];
    if (value !== undefined && typeof value !== "string") {
      throw new VprocfsError("USAGE", `option '--${name}' needs a value`);
    }
    return value;
  };
  const flags: Partial<Record<ConfigKey, string>> = {};
  for (const key of CONFIG_KEYS) {
    const text = textOf(kebabOf(key));
    if (text !== undefined) {
      flags[key] = text;
    }
  }
  const { logFormat } = flags;
  const short = servingFlags(positionals[0], {
    json: values.json === true,
    ...(logFormat === undefined ? {} : { logFormat }),
    watch: values["no-watch"] !== true,
  });
  return loadConfig({
    flags: { ...flags, ...short },
    env: context.env,
    file: textOf("config"),
    ...(context.configFile === undefined ? {} : { defaultFile: context.configFile }),
  });
}

/** Serves on the connection that the keeper holds; resolves to the exit status. */
async function work(context: WorkerContext, config: Config): Promise<number> {
  const binding = context.addon();
  makeCallsDirectory(config);
  const place = workplace(context.env);
  if (place === undefined) {
    throw new VprocfsError("USAGE", "only the keeper starts workers: use 'vprocfs run'");
  }
  const system = realSystem((path) => binding.unmount(path));
  const { mountpoint } = place;
  const log = createLogger(config.logLevel, config.logFormat);
  const collect = garbageCollector(binding);
  return await serve({
    engine: nativeEngine(binding),
    options: {
      ...place,
      polledMountpoint: polledMountpointOf(mountpoint),
      ...engineOptions(config),
    },
    log,
    companions: [
      ...companionsOf(binding, config, { mountpoint, hasKeeper: true, log }),
      { start: collect, stop: async () => {} },
    ],
    isFirst: () =>
      readStatus(mountpoint).then(
        ({ generation }) => generation <= 1,
        () => true,
      ),
    onReady: collect,
    unmount: () => isOnTop(system, mountpoint, config),
  });
}

/** Runs a worker with the arguments of `run`; resolves to the exit status. `fail` gets one line. */
export async function runWorker(
  argv: readonly string[],
  context: WorkerContext,
  fail: (line: string) => void,
): Promise<number> {
  try {
    return await work(context, workerConfig(argv, context));
  } catch (error) {
    reportToKeeper(context.env, messageOf(error));
    fail(messageOf(error));
    return statusOf(error);
  }
}
