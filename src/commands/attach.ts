import { isAbsolute } from "node:path";
import type { Command } from "commander";
import { FairQueue, ONCE_FOR_ALL } from "../attach/bounds.js";
import {
  countOf,
  failed,
  failureOf,
  type HelperReport,
  type HelperRun,
  type HelperSettings,
  type RunHelper,
  runHelper,
} from "../attach/helper.js";
import { LeftAlone } from "../attach/left-alone.js";
import { listNamespaces, type MountNamespace, runInside } from "../attach/namespaces.js";
import { exclusionFromHooks } from "../attach/selection.js";
import { helperSettings } from "../attach/settings.js";
import type { Config } from "../config.js";
import { findContainer, withFigures } from "../containers/find.js";
import { ExitStatus, VprocfsError } from "../errors.js";
import { canonicalPath } from "../mountpoint.js";
import type { LocatedContainer } from "../native/binding.js";
import { requireRoot } from "../root.js";
import { printable } from "../text.js";
import { requireSight } from "../unseen.js";
import { type Context, servingConfigFor, toJson } from "./context.js";
import { addConfigFlags } from "./flags.js";
import { requireMount } from "./show.js";

/** How long all containers of one tenant may take together: each could take as long as it likes. */
const TENANT_MS = 120_000;

/** A takeover from another vprocfs gets more time and is tried again, because otherwise files would be missing. */
const IN_PLACE = { timeoutMs: 25_000, attempts: 3 } as const;

interface Outcome {
  readonly container: LocatedContainer;
  /** Processes in it; each may have ended. */
  readonly pids: readonly number[];
  readonly reports: readonly HelperReport[];
}

type Action = "attach" | "detach";

type Namespace = MountNamespace<LocatedContainer>;

interface Flags {
  readonly all?: boolean;
  readonly json?: boolean;
  readonly figures: boolean;
  readonly forNow?: boolean;
  readonly automatic?: boolean;
  readonly inPlaceOf?: string;
}

/** The namespaces to work on, grouped by container. */
function selected(
  context: Context,
  action: Action,
  word: string | undefined,
  all: boolean,
): (readonly Namespace[])[] {
  if (all === (word !== undefined)) {
    throw new VprocfsError("USAGE", "name either a container or --all");
  }
  const only = word === undefined ? undefined : findContainer(context.addon(), word).id;
  const byContainer = new Map<string, Namespace[]>();
  for (const namespace of listNamespaces(context.addon().locationOf)) {
    const { id } = namespace.container;
    if (only === undefined || only === id) {
      byContainer.set(id, [...(byContainer.get(id) ?? []), namespace]);
    }
  }
  // Nothing to detach is no error.
  if (action === "attach" && word !== undefined && byContainer.size === 0) {
    throw new VprocfsError(
      "CONTAINER",
      `container '${printable(word)}': no process in it has its own mount and PID namespaces`,
    );
  }
  return [...byContainer.values()];
}

/** The groups whose containers get the files automatically. */
function automatic(
  context: Context,
  config: Config,
  groups: readonly (readonly Namespace[])[],
): (readonly Namespace[])[] {
  const exclusion = exclusionFromHooks(context.addon(), config);
  return groups.filter(([first]) => first !== undefined && !exclusion(first.container));
}

interface Work {
  readonly leftAlone: LeftAlone;
  readonly helper: RunHelper;
  readonly action: Action;
  readonly config: Config;
  readonly mountpoint: string;
  /** Whether the watcher is told: to leave a detached container alone, and to serve an attached one again. */
  readonly remember: boolean;
  /** The mount point of the vprocfs whose files are replaced. */
  readonly inPlaceOf: string | undefined;
  /** How long each tenant has taken so far, ms. */
  readonly tookMs: Map<string, number>;
}

/**
 * Takes over from another vprocfs. It is tried again, because the watchers of both may have a helper at work
 * there.
 */
async function takePlace(
  helper: RunHelper,
  settings: HelperSettings,
  run: HelperRun,
): Promise<HelperReport> {
  for (let attempt = 1; ; attempt += 1) {
    const report = await helper(settings, { ...run, timeoutMs: IN_PLACE.timeoutMs });
    if (failureOf(report) === undefined || attempt === IN_PLACE.attempts) {
      return report;
    }
  }
}

async function workOn(
  work: Work,
  container: LocatedContainer,
  namespaces: readonly Namespace[],
): Promise<Outcome> {
  const { helper, action, config, mountpoint, inPlaceOf, tookMs } = work;
  const configured = helperSettings(config, mountpoint);
  // `vprocfs attach` always replaces the files of an LXCFS, whatever the configuration says.
  const settings =
    inPlaceOf === undefined ? { ...configured, replaceLxcfs: true } : { ...configured, inPlaceOf };
  const id = config.engine === "fuse-native" ? container.id : undefined;
  if (work.remember) {
    work.leftAlone.set(container, action === "detach", namespaces);
  }
  const reports: HelperReport[] = [];
  for (const namespace of namespaces) {
    const what = { action, name: container.name, id };
    const before = tookMs.get(container.tenant) ?? 0;
    if (before > TENANT_MS) {
      const run = { ...what, pid: namespace.pids[0] ?? 0 };
      reports.push(failed(run, "the outermost container around it has taken too long"));
      continue;
    }
    const began = performance.now();
    const report = await runInside(namespace, (pid) => {
      const run = { ...what, pid };
      return inPlaceOf === undefined ? helper(settings, run) : takePlace(helper, settings, run);
    });
    reports.push(report);
    tookMs.set(container.tenant, before + performance.now() - began);
  }
  return { container, pids: namespaces.flatMap(({ pids }) => pids), reports };
}

/** Works on tenants at the same time, and on the containers of one tenant one after the other. */
async function workOnAll(
  work: Work,
  groups: readonly (readonly Namespace[])[],
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let problem: unknown;
  const onError = (error: unknown): void => {
    problem ??= error;
  };
  const queue = new FairQueue<string, string>({ ...ONCE_FOR_ALL, onError });
  groups.forEach((namespaces, place) => {
    const container = namespaces[0]?.container;
    if (container !== undefined) {
      queue.add(container.tenant, container.id, async () => {
        outcomes[place] = await workOn(work, container, namespaces);
        return 0;
      });
    }
  });
  await queue.idle();
  if (problem !== undefined) {
    throw problem;
  }
  return outcomes;
}

function lineOf({ container, reports }: Outcome, action: Action): string {
  const count = (...states: Parameters<typeof countOf>[1][]): number =>
    reports.reduce((sum, report) => sum + countOf(report, ...states), 0);
  const parts =
    action === "detach"
      ? [`${count("detached")} detached`]
      : [
          `${count("attached", "replaced", "healed")} attached`,
          `${count("present")} already mounted`,
          ...(count("left") > 0 ? [`${count("left")} left as they are`] : []),
        ];
  const failures = reports.map(failureOf).filter((failure) => failure !== undefined);
  return `${printable(container.name)}: ${[...parts, ...failures.map(printable)].join(", ")}`;
}

/** The mount point of the vprocfs to take over from. */
function predecessor(path: string, mountpoint: string): string {
  const place = canonicalPath(path);
  if (place === mountpoint) {
    throw new VprocfsError("USAGE", `--in-place-of: ${printable(place)} is its own mount point`);
  }
  return place;
}

async function act(
  context: Context,
  config: Config,
  action: Action,
  word: string | undefined,
  options: Flags,
): Promise<void> {
  requireRoot();
  if (options.inPlaceOf !== undefined && !isAbsolute(options.inPlaceOf)) {
    const found = `found '${printable(options.inPlaceOf)}'`;
    throw new VprocfsError("USAGE", `option --in-place-of: expected an absolute path, ${found}`);
  }
  await requireSight(canonicalPath(config.mountpoint));
  const named = selected(context, action, word, options.all === true);
  const groups = options.automatic === true ? automatic(context, config, named) : named;
  const mountpoint =
    action === "attach" ? await requireMount(config) : canonicalPath(config.mountpoint);
  const inPlaceOf =
    options.inPlaceOf === undefined ? undefined : predecessor(options.inPlaceOf, mountpoint);
  // What is done automatically or during a takeover does not override what an operator has said.
  const remember = options.forNow !== true && options.automatic !== true && inPlaceOf === undefined;
  const helper: RunHelper = (...rest) => runHelper(context.addon(), ...rest);
  const tookMs = new Map<string, number>();
  const leftAlone = new LeftAlone(context.addon().identityOf);
  const work = { leftAlone, helper, action, config, mountpoint, remember, inPlaceOf, tookMs };
  const all = await workOnAll(work, groups);
  if (options.json === true) {
    // Only now, because to read a container's figures may take as long as it likes.
    const binding = context.addon();
    const full = all.map(({ container, pids, reports }) => ({
      container: options.figures ? withFigures(binding, container, pids) : container,
      reports,
    }));
    context.print(toJson(full));
  } else if (all.length === 0) {
    const isLeftOut = options.automatic === true && named.length > 0;
    context.print(isLeftOut ? "no containers that get the files automatically" : "no containers");
  } else {
    context.print(all.map((outcome) => lineOf(outcome, action)).join("\n"));
  }
  if (all.some(({ reports }) => reports.some((report) => failureOf(report) !== undefined))) {
    context.exit(ExitStatus.failure);
  }
}

function add(program: Command, context: Context, action: Action, summary: string, text: string) {
  const command = program
    .command(action)
    .summary(summary)
    .description(text)
    .argument("[CONTAINER]", "id, name, or the PID of any process in it")
    .option("--all", "all containers of this host")
    .option("--json", "print an array of containers and what was done in each")
    .option(
      "--no-figures",
      "with --json: leave out limits and CPUs, so that a slow cgroup delays nothing",
    );
  if (action === "attach") {
    command.option(
      "--automatic",
      "leave out containers that do not get the files automatically: detached ones, and others by " +
        "attach-only and attach-exclude; used by hooks",
    );
    command.option(
      "--in-place-of <DIR>",
      "replace the files of the vprocfs that serves there; skip containers that have none",
    );
  }
  if (action === "detach") {
    command.option("--for-now", "let the watcher attach them again later; used when vprocfs stops");
  }
  addConfigFlags(command, ["mountpoint"]).action(
    async (word: string | undefined, options: Flags) => {
      await act(context, servingConfigFor(context, command), action, word, options);
    },
  );
}

/** `vprocfs attach` and `vprocfs detach` */
export function addAttach(program: Command, context: Context): void {
  add(
    program,
    context,
    "attach",
    "mount the files into running containers",
    "Mounts the files into a running container, and replaces those of a dead vprocfs or of LXCFS. " +
      "Files that are mounted already stay.",
  );
  add(
    program,
    context,
    "detach",
    "unmount the files in running containers",
    "Unmounts the files in a container, including dead ones. The watcher then leaves the " +
      "container alone until it ends or is attached again.",
  );
}
