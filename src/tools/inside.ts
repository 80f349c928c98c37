import { readFileSync } from "node:fs";
import { errnoOf, messageOf } from "../errors.js";
import type { Surveyed, Surveys } from "../metrics/survey.js";
import { type Mount, mountAt } from "../mountinfo.js";
import { NoAnswer, within } from "../within.js";
import type { Findings } from "./findings.js";

const WITHIN_MS = 3000;

/** A file as the init of a container finds it. `directory` is the device of its /proc. */
interface Place {
  readonly init: number;
  readonly path: string;
  readonly directory: string;
}

/** After so many containers whose files do not answer no others are read: each takes WITHIN_MS. */
const MAX_SILENT = 3;

/** Reads files inside containers, which one vprocfs serves. */
export class Inside {
  readonly #surveys: Pick<Surveys, "readInside">;
  readonly #device: string;
  #silent = 0;
  #skipped = 0;

  /** `device` is that of the mount, as "major:minor". */
  constructor(surveys: Pick<Surveys, "readInside">, device: string) {
    this.#surveys = surveys;
    this.#device = device;
  }

  /** The number of containers whose files were not read. */
  get skipped(): number {
    return this.#skipped;
  }

  /** Whether to read the files of one more container. */
  admits(): boolean {
    const isAdmitted = this.#silent < MAX_SILENT;
    this.#skipped += isAdmitted ? 0 : 1;
    return isAdmitted;
  }

  async read({ init, path, directory }: Place): Promise<string> {
    const text = this.#surveys.readInside(init, path, this.#device, directory);
    try {
      return await within(text, WITHIN_MS, "does not answer");
    } catch (error) {
      this.#silent += error instanceof NoAnswer ? 1 : 0;
      throw error;
    }
  }
}

/** What checkFigures() needs to know. */
interface InsideInputs {
  readonly inside: Inside;
  /** /proc/meminfo of the host itself. */
  readonly hostMeminfo: string;
}

/** Compares the figures that a container reads inside with those of its cgroup. */
export async function checkFigures(
  findings: Findings,
  container: Surveyed,
  mounted: { readonly live: readonly string[] },
  mounts: readonly Mount[],
  inputs: InsideInputs,
): Promise<void> {
  const { figures, init } = container;
  if (mounted.live.length === 0 || !inputs.inside.admits()) {
    return;
  }
  const proc = mountAt(mounts, "/proc");
  const directory = proc?.fsType === "proc" ? proc.device : "";
  const right: string[] = [];
  // Each file fails at most once, and after one that does not answer no other is read.
  const failed = new Set<string>();
  let answers = true;
  const compare = async (
    path: string,
    what: string,
    expected: number | undefined,
    ofHost: number,
    parse: (text: string) => number | undefined,
  ): Promise<void> => {
    if (!mounted.live.includes(path) || expected === undefined || failed.has(path) || !answers) {
      return;
    }
    try {
      const found = parse(await inputs.inside.read({ init, path: `/${path}`, directory }));
      if (found === expected) {
        right.push(`${what} ${found}`);
      } else if (found === ofHost) {
        // A file bound from the host shows each reader the reader's own figures, and the reader was this process.
        findings.add("info", `${what} inside depends on the caller: not checked`);
      } else {
        findings.add("problem", `${what} inside is ${found}, its cgroup says ${expected}`);
      }
    } catch (error) {
      failed.add(path);
      answers = !(error instanceof NoAnswer);
      const code = errnoOf(error);
      if (code === "EAGAIN" || code === "EXDEV") {
        findings.add(
          "info",
          `/${path} inside: not checked, because the container's own file system would answer`,
        );
      } else if (code !== "ESRCH") {
        findings.add("problem", `/${path} inside: ${messageOf(error)}`);
      }
    }
  };
  for (const [label, figure] of [
    ["MemTotal", "memoryTotal"],
    ["SwapTotal", "swapTotal"],
  ] as const) {
    const bytes = figures.get(figure);
    const expected = bytes === undefined ? undefined : bytes / 1024;
    const parse = (text: string): number =>
      Number(new RegExp(`^${label}: +(\\d+) kB$`, "m").exec(text)?.[1]);
    await compare("proc/meminfo", `${label} (kB)`, expected, parse(inputs.hostMeminfo), parse);
  }
  const countCpus = (text: string): number => (text.match(/^cpu\d+ /gm) ?? []).length;
  await compare(
    "proc/stat",
    "number of CPUs",
    figures.get("cpus"),
    countCpus(readFileSync("/proc/stat", "utf8")),
    countCpus,
  );
  if (right.length > 0) {
    findings.add("ok", `sees what its cgroup says: ${right.join(", ")}`);
  }
}
