import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import type { Container } from "../containers.js";
import { FILES, type FileName } from "../files.js";
import { launch } from "./launch.js";
import type { Peer, PeerContext, RunningPeer } from "./peer.js";

/** The help of `vprocfs run` with all options, by cli.js: it shows what a vprocfs supports. */
const helps = new Map<string, string>();

function helpOf(cli: string): string {
  const known = helps.get(cli);
  if (known !== undefined) {
    return known;
  }
  const ask = (option: string) =>
    spawnSync(process.execPath, [cli, "run", option], { encoding: "utf8" });
  // Earlier versions have every option in --help.
  const whole = ask("--help-all");
  const { stdout, stderr } = whole.status === 0 ? whole : ask("--help");
  helps.set(cli, stdout + stderr);
  return stdout + stderr;
}

/** Why a vprocfs cannot be run with these options; undefined: it can. */
function lacks(cli: string, options: readonly string[]): string | undefined {
  if (!existsSync(cli)) {
    return `${cli} is not there: build it first`;
  }
  const help = helpOf(cli);
  const missing = options.find((option) => !help.includes(option));
  return missing === undefined ? undefined : `this vprocfs has no ${missing}`;
}

/**
 * A copy of Node for the daemon alone. Otherwise pages of Node that other processes share would count only in part
 * for its PSS.
 */
function ownNode(directory: string): string {
  const path = join(directory, "node");
  copyFileSync(process.execPath, path);
  return path;
}

function command(
  { cli, directory, metrics }: PeerContext,
  mountpoint: string,
  options: readonly string[],
): string[] {
  // Leave other containers of this machine alone, and do not use the port of an installed vprocfs.
  const help = helpOf(cli);
  const quiet = help.includes("--watch ") ? ["--watch", "off"] : [];
  const place = metrics ? `unix:${join(directory, "metrics.sock")}` : "off";
  const mute = help.includes("--metrics ") ? ["--metrics", place] : [];
  const node = metrics ? ownNode(directory) : process.execPath;
  return [node, cli, "run", mountpoint, ...quiet, ...mute, ...options];
}

/** Binds per-container files through `self` from inside the container, as hooks do. */
async function startNative(
  context: PeerContext,
  options: readonly string[],
  probe: string,
): Promise<RunningPeer> {
  const { pid, mountpoint, start } = await launch(context, {
    command: (path) => command(context, path, options),
    probe,
    optional: false,
  });
  const source = async (_: Container, file: FileName) => join(mountpoint, "self", FILES[file]);
  return { pid, mountpoint, start, source };
}

export const exact: Peer = {
  name: "exact",
  title: "vprocfs exact",
  unavailable: (cli) => lacks(cli, []),
  start: (context) =>
    // A vprocfs without the option has only this contract.
    startNative(
      context,
      lacks(context.cli, ["--consistency"]) === undefined ? ["--consistency", "exact"] : [],
      FILES.meminfo,
    ),
};

export const tick: Peer = {
  name: "tick",
  title: "vprocfs tick",
  unavailable: (cli) => lacks(cli, ["--consistency"]),
  // In this contract the host cannot read `proc/`, so the probe is another directory.
  start: (context) => startNative(context, ["--consistency", "tick"], "containers"),
};

/**
 * The engine on the JavaScript thread. It does not know the caller, so the files of a container are bound by
 * its id.
 */
export const fuseNative: Peer = {
  name: "fuse-native",
  title: "vprocfs fuse-native",
  unavailable: (cli) => lacks(cli, ["--engine"]),
  start: async (context) => {
    const { pid, mountpoint, start } = await launch(context, {
      command: (path) => command(context, path, ["--engine", "fuse-native"]),
      probe: "containers",
      optional: true,
    });
    return {
      pid,
      start,
      source: async ({ id }, file) => join(mountpoint, "containers", id, FILES[file]),
    };
  },
};
