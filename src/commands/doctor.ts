import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { exclusionReason } from "../attach/selection.js";
import { shortened, widthOf } from "../columns.js";
import { findContainer } from "../containers/find.js";
import { GivenNames } from "../containers/given-names.js";
import { askFigures } from "../figures.js";
import { type AskStatus, askOnce } from "../keeper-status.js";
import { type Figures, type Surveyed, Surveys } from "../metrics/survey.js";
import { ContainerTables, mountAt } from "../mountinfo.js";
import { canonicalPath, stateOfMount } from "../mountpoint.js";
import { LOG_FILES, polledMountpointOf } from "../polled.js";
import { requireRoot } from "../root.js";
import { counted, printable, shortName } from "../text.js";
import { readFigure } from "../tools/cgroup-files.js";
import { checkContainer, readExclusion, TABLE_BOUNDS } from "../tools/container-checks.js";
import { checkCallFiles, checkDaemon } from "../tools/daemon-checks.js";
import type { Finding, Level } from "../tools/findings.js";
import { checkHost, checkSurvey } from "../tools/host-checks.js";
import { Inside } from "../tools/inside.js";
import { wasThrottled } from "../tools/use-checks.js";
import { containersUnseen, mountsWhereServed } from "../unseen.js";
import { type Context, namingFlags, servingConfigFor, toJson } from "./context.js";
import { addConfigFlags } from "./flags.js";

/** The exit status for the worst finding. As in all commands, 1 and 2 are errors. */
const STATUS: Readonly<Record<Level, number>> = { ok: 0, info: 0, warning: 3, problem: 4 };

/** Longer names, as runtimes make them up, are shortened. */
const MAX_NAME_WIDTH = 32;

function asText(findings: readonly Finding[], given: ReadonlyMap<string, string>): string {
  const nameOf = ({ about, id = "" }: Finding): string => {
    const name = given.get(id);
    return name === undefined ? shortName(about) : printable(name);
  };
  const names = findings.map((finding) => shortened(nameOf(finding), MAX_NAME_WIDTH));
  const width = Math.max(...names.map((name) => widthOf(name)));
  const lines = findings.map(({ level, what, todo }, index) => {
    const name = names[index] ?? "";
    const head = `${level.padEnd(7)}  ${name}${" ".repeat(width - widthOf(name))}  `;
    const more = todo === undefined ? "" : `\n${" ".repeat(width + 11)}-> ${printable(todo)}`;
    return `${head}${printable(what)}${more}`;
  });
  const count = (level: Level): number => findings.filter((one) => one.level === level).length;
  const sum = `${counted(count("problem"), "problem")}, ${counted(count("warning"), "warning")}`;
  return [...lines, "", sum].join("\n");
}

async function checkSight(mountpoint: string, ask: AskStatus): Promise<Finding[]> {
  const unseen = await containersUnseen(mountpoint, ask);
  return unseen === undefined ? [] : [{ level: "problem", about: "vprocfs", ...unseen }];
}

/** How long a survey may take: a cgroup's file may not answer. */
const SURVEY_WITHIN_MS = 30_000;
/** How long the keeper may take to answer. */
const KEEPER_WITHIN_MS = 8000;
/** Between the two surveys that say whether something is still so. */
const BETWEEN_SURVEYS_MS = 2000;

/** Figures of a moment later, where some of these containers need a second look. */
async function laterFigures(
  surveys: Surveys,
  containers: readonly Surveyed[],
): Promise<ReadonlyMap<string, Figures>> {
  if (!containers.some(({ figures }) => wasThrottled(figures))) {
    return new Map();
  }
  await sleep(BETWEEN_SURVEYS_MS);
  const later = await surveys.takeWithin(SURVEY_WITHIN_MS);
  return new Map(later?.containers.map(({ id, figures }) => [id, figures]));
}

async function examine(context: Context, command: Command, word: string | undefined) {
  const config = servingConfigFor(context, command);
  const binding = context.addon();
  const all = binding.locateContainers();
  const selected = word === undefined ? undefined : findContainer(binding, word).id;
  const mountpoint = canonicalPath(config.mountpoint);
  const surveys = new Surveys(binding, config, mountpoint);
  const survey = await surveys.takeWithin(SURVEY_WITHIN_MS);
  const surveyed = survey?.containers ?? [];
  const containers = surveyed.filter(({ id }) => selected === undefined || id === selected);
  const ask = askOnce(mountpoint, KEEPER_WITHIN_MS);
  const mounts = await mountsWhereServed(mountpoint, ask);
  const state = await stateOfMount(mountpoint, config);
  const deviceAt = (path: string): string | undefined =>
    state === "dead" ? undefined : mountAt(mounts, path)?.device;
  const [device, polledDevice] = [deviceAt(mountpoint), deviceAt(polledMountpointOf(mountpoint))];
  // A dead mount of this vprocfs stays in the table until somebody unmounts it.
  const places = [mountpoint, polledMountpointOf(mountpoint)];
  const standing = mounts.filter((mount) => state !== "dead" || !places.includes(mount.mountpoint));
  const flags = namingFlags(command);
  const hostMeminfo = readFigure("/proc/meminfo") ?? "";
  // The daemon may have been started with other settings than those in the file now.
  const serving = await askFigures(mountpoint);
  const { kernelLog = config.kernelLog === "on" } = serving ?? {};
  const { replaceLxcfs = config.replaceLxcfs === "on" } = serving ?? {};
  const hasLogs = kernelLog && config.consistency !== "tick" && polledDevice !== undefined;
  const { exclusionReason: excluded, unread } = readExclusion(() =>
    exclusionReason(binding, config),
  );
  const inputs = {
    inside: state === "live" ? new Inside(surveys, device ?? "") : undefined,
    flags,
    config,
    device,
    polledDevice,
    devices: new Set(standing.map((mount) => mount.device)),
    exclusionReason: excluded,
    paths: [...binding.views().map(({ path }) => path), ...(hasLogs ? LOG_FILES : [])],
    later: await laterFigures(surveys, containers),
    hostMeminfo,
    tables: new ContainerTables(TABLE_BOUNDS),
  };
  const findings = [
    ...(selected === undefined
      ? checkHost(survey, binding.nodeMemory(), all, { ...config, replaceLxcfs }, flags)
      : []),
    ...(selected === undefined || containers.length === 0 ? checkSurvey(survey) : []),
    ...(await checkDaemon(config, { mountpoint, state, flags, ask }, binding.version)),
    ...checkCallFiles(config),
    ...(await checkSight(mountpoint, ask)),
    ...unread,
  ];
  for (const container of containers) {
    findings.push(...(await checkContainer(container, inputs)));
  }
  const skipped = inputs.inside?.skipped ?? 0;
  if (skipped > 0) {
    const what = `figures inside ${counted(skipped, "container")} not checked, because those of other containers do not answer`;
    findings.push({ level: "warning", about: "vprocfs", what });
  }
  return { findings, given: new GivenNames().of(surveyed) };
}

/** `vprocfs doctor [CONTAINER]` */
export function addDoctor(program: Command, context: Context): void {
  const command = program
    .command("doctor")
    .summary("find problems on this host and say how to fix them")
    .description(
      "Checks the kernel, the controllers, the mount and the containers: what is mounted in them, whether " +
        "they see what their cgroups say, and what they are short of. Exits with 0 when all is " +
        "well, 3 with warnings, 4 with problems.",
    )
    .argument("[CONTAINER]", "id, name, or the PID of any process in it (default: all)")
    .option("--json", "print an array of findings");
  addConfigFlags(command, ["mountpoint"], ["metrics"]).action(
    async (word: string | undefined, options: { readonly json?: boolean }) => {
      requireRoot();
      const { findings, given } = await examine(context, command, word);
      context.print(options.json === true ? toJson(findings) : asText(findings, given));
      context.exit(Math.max(...findings.map(({ level }) => STATUS[level]), 0));
    },
  );
}
