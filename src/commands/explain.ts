import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { alignedLines, fitted } from "../columns.js";
import { findContainer } from "../containers/find.js";
import { VprocfsError } from "../errors.js";
import { canonicalPath, stateOfMount } from "../mountpoint.js";
import { didYouMean, printable } from "../text.js";
import { type Explanation, explain, FIELD_NAMES } from "../tools/explain/explain.js";
import { requireSight } from "../unseen.js";
import { type Context, servingConfigFor, toJson } from "./context.js";
import { addConfigFlags } from "./flags.js";

function asText(name: string, explanation: Explanation): string {
  const { field, file, formula, sources, decidedBy, result } = explanation;
  const rows = sources.map(({ path, key, value, means }) => [
    printable(path),
    key,
    fitted(printable(value), 60),
    means,
  ]);
  const decided = decidedBy === undefined ? [] : [`decided by  ${printable(decidedBy)}`];
  return [
    `${field} of ${printable(name)}, in /${file}`,
    "",
    `formula     ${formula}`,
    "sources",
    ...alignedLines(rows).map((line) => `  ${line}`),
    ...decided,
    `result      ${result}`,
  ].join("\n");
}

/** `vprocfs explain CONTAINER FIELD` */
export function addExplain(program: Command, context: Context): void {
  const command = program
    .command("explain")
    .summary("explain a figure that a container sees")
    .description(
      "Prints the formula of a figure, the current values of its sources, the cgroup whose limit " +
        "applies, and the result. Works with and without a running vprocfs.",
    )
    .argument("<CONTAINER>", "id, name, or the PID of any process in it")
    .argument("<FIELD>", FIELD_NAMES.join(", "))
    .option("--json", "print an object");
  addConfigFlags(command, ["mountpoint"]).action(
    async (word: string, name: string, options: { readonly json?: boolean }) => {
      if (!FIELD_NAMES.some((known) => known.toLowerCase() === name.toLowerCase())) {
        const hint = didYouMean(name, FIELD_NAMES) || `; known fields: ${FIELD_NAMES.join(", ")}`;
        throw new VprocfsError("USAGE", `no field '${printable(name)}'${hint}`);
      }
      const config = servingConfigFor(context, command);
      const binding = context.addon();
      const mountpoint = canonicalPath(config.mountpoint);
      await requireSight(mountpoint);
      const container = findContainer(binding, word);
      const isLive = (await stateOfMount(mountpoint, config)) === "live";
      const renderer = isLive ? undefined : new binding.Renderer(config.tickMs, config.bpf);
      const arc = binding.nodeMemory()?.arc ?? 0;
      try {
        const read = (path: string): string =>
          renderer === undefined
            ? readFileSync(join(mountpoint, "containers", container.id, path), "utf8")
            : renderer.render(container.id, path).toString();
        const explanation = explain({ container, read, arc }, name);
        if (explanation !== undefined) {
          context.print(
            options.json === true ? toJson(explanation) : asText(container.name, explanation),
          );
        }
      } finally {
        renderer?.close();
      }
    },
  );
}
