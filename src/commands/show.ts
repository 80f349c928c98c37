import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import type { Config } from "../config.js";
import { findContainer, withFigures } from "../containers/find.js";
import { errnoOf, messageOf, VprocfsError } from "../errors.js";
import { canonicalPath, stateOfMount } from "../mountpoint.js";
import type { ContainerIdentity } from "../native/binding.js";
import { serviceAt } from "../service.js";
import { didYouMean, printable } from "../text.js";
import { requireSight, servedUnseen } from "../unseen.js";
import { type Context, servingConfigFor, toJson } from "./context.js";
import { addConfigFlags } from "./flags.js";

/** "meminfo", "/proc/meminfo" and "proc/meminfo" are the same file. */
export function matchFile(word: string, paths: readonly string[]): string {
  const path = word.replace(/^\/+/, "");
  const found =
    paths.find((known) => known === path) ?? paths.find((known) => known === `proc/${path}`);
  if (found === undefined) {
    throw new VprocfsError(
      "USAGE",
      `no file '${printable(word)}' in a container's tree${didYouMean(path, paths)}`,
    );
  }
  return found;
}

/** The canonical mount point of a live vprocfs; throws if there is none. */
export async function requireMount(config: Config): Promise<string> {
  const path = canonicalPath(config.mountpoint);
  const state = await stateOfMount(path, config);
  if (state === "live") {
    await requireSight(path);
    return path;
  }
  const place = printable(path);
  if (state === "hung") {
    throw new VprocfsError("NOT_MOUNTED", `${place}: the vprocfs mounted here does not answer`);
  }
  const { start, restart } = await serviceAt(path);
  const unseen = state === "none" ? await servedUnseen(path, config, restart) : undefined;
  if (unseen !== undefined) {
    throw new VprocfsError("NOT_MOUNTED", `${place}: ${unseen.what}: ${unseen.todo}`);
  }
  const message =
    state === "dead"
      ? `${place}: the vprocfs mounted here is dead: start it again with '${start}'`
      : `${place}: no vprocfs is mounted here: start it with '${start}', or name its --mountpoint`;
  throw new VprocfsError("NOT_MOUNTED", message);
}

/** The text of a file; undefined if it is `optional` and the kernel has no such figures for the container. */
function readView(
  mountpoint: string,
  container: ContainerIdentity,
  path: string,
  optional: boolean,
): string | undefined {
  try {
    return readFileSync(join(mountpoint, "containers", container.id, path), "utf8");
  } catch (error) {
    if (optional && errnoOf(error) === "ENOTSUP") {
      return undefined;
    }
    const reason = errnoOf(error) === "ENOENT" ? "the container is gone" : messageOf(error);
    throw new VprocfsError("CONTAINER", `container ${container.id}: ${path}: ${reason}`, {
      cause: error,
    });
  }
}

/** Several files one after the other, each under its name. */
function withHeaders(files: readonly (readonly [string, string])[]): string {
  return files.map(([path, text]) => `==> ${path} <==\n${text}`).join("\n");
}

/** `vprocfs show CONTAINER [FILE]` */
export function addShow(program: Command, context: Context): void {
  const command = program
    .command("show")
    .summary("show what a container sees")
    .description("Prints files of the mounted tree as a container reads them.")
    .argument("<CONTAINER>", "id, name, or the PID of any process in it")
    .argument("[FILE]", "for example meminfo or sys/devices/system/cpu/online (default: all files)")
    .option("--json", "print an object with the container and its files");
  addConfigFlags(command, ["mountpoint"]).action(
    async (word: string, file: string | undefined, options: { readonly json?: boolean }) => {
      const config = servingConfigFor(context, command);
      const binding = context.addon();
      const paths = binding.views().map((view) => view.path);
      const selected = file === undefined ? paths : [matchFile(file, paths)];
      const mountpoint = await requireMount(config);
      const container = findContainer(binding, word);
      const files = selected.flatMap((path) => {
        const text = readView(mountpoint, container, path, file === undefined);
        return text === undefined ? [] : [[path, text] as const];
      });
      if (options.json === true) {
        const full = withFigures(binding, container);
        context.print(toJson({ container: full, files: Object.fromEntries(files) }));
      } else {
        const text =
          file === undefined ? withHeaders(files) : files.map(([, body]) => body).join("");
        context.print(text.replace(/\n$/, ""));
      }
    },
  );
}
