import type { Command } from "commander";
import { GivenNames } from "../containers/given-names.js";
import { containerTable } from "../containers/table.js";
import { ExitStatus } from "../errors.js";
import { defaultPlace } from "../mountpoint.js";
import type { ContainerInfo } from "../native/binding.js";
import { printable } from "../text.js";
import { type Context, toJson, warnOfOthers } from "./context.js";

/** `vprocfs ls` */
export function addLs(program: Command, context: Context): void {
  program
    .command("ls")
    .summary("list the containers of this host")
    .description(
      "Lists the containers of this host with their cgroups and limits. Works with and without a running vprocfs.",
    )
    .option("--json", "print an array of objects; sizes in bytes, null for no limit")
    .action(async (options: { readonly json?: boolean }) => {
      await warnOfOthers(context, defaultPlace());
      const all = context.addon().scanContainers();
      const containers = all.filter((one): one is ContainerInfo => !("problem" in one));
      for (const one of all) {
        if ("problem" in one) {
          context.warn?.(`${printable(one.name)} is left out: ${printable(one.problem)}`);
          context.exit(ExitStatus.failure);
        }
      }
      const given = new GivenNames().of(containers);
      if (options.json === true) {
        const called = ({ id }: { id: string }) => ({ givenName: given.get(id) ?? null });
        context.print(toJson(containers.map((one) => ({ ...one, ...called(one) }))));
      } else if (containers.length === 0) {
        context.print("no containers");
      } else {
        context.print(containerTable(containers, given));
      }
    });
}
