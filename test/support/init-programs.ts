// Programs that a container's init starts for the host, for LXC containers of the busybox template.
//
// lxc-attach of LXC up to 7.0 loses a race where a call is handed over and no LSM labels processes:
// the attached process and the one that started it write to the same socket, the seccomp listener
// and a PID. In about 1 of 400 it reads them in the wrong order, the program runs on without a
// listener (ENOSYS for each call), and lxc-attach exits with 1. What init starts has init's filter.

import {
  appendFileSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type Outcome, outputSync } from "./command.js";
import { until } from "./wait.js";

const DIRECTORY = "/runner";
const TIMEOUT_MS = 60_000;

// Busybox's own shell would take its applets for whatever is asked.
const RUNNER = `export PATH=/mnt/bin:/mnt/sbin:/bin:/sbin
cd ${DIRECTORY}
exec 3<>jobs
while read -r job <&3; do
  (/mnt/bin/sh $job/command >$job/stdout 2>$job/stderr 3<&-
  echo $? >$job/ended
  mv $job/ended $job/status) &
done
`;

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

export class InitPrograms {
  readonly #directory: string;
  #jobs = 0;

  private constructor(rootfs: string) {
    this.#directory = join(rootfs, DIRECTORY);
  }

  /** Prepares a root file system whose init has not been started yet. */
  static install(rootfs: string): InitPrograms {
    const programs = new InitPrograms(rootfs);
    mkdirSync(programs.#directory);
    writeFileSync(join(programs.#directory, "run"), RUNNER);
    outputSync(["mkfifo", join(programs.#directory, "jobs")]);
    appendFileSync(join(rootfs, "etc/inittab"), `::respawn:/bin/sh ${DIRECTORY}/run\n`);
    return programs;
  }

  async #tell(line: string): Promise<void> {
    const flags = constants.O_WRONLY | constants.O_NONBLOCK;
    const fd = await until("init's shell listens", () => {
      try {
        return openSync(join(this.#directory, "jobs"), flags);
      } catch (error) {
        // ENXIO: it has not begun to.
        if ((error as NodeJS.ErrnoException).code !== "ENXIO") {
          throw error;
        }
        return undefined;
      }
    });
    writeSync(fd, line);
    closeSync(fd);
  }

  /** Runs a program to its end, whatever its exit status. */
  async run(argv: readonly string[]): Promise<Outcome> {
    this.#jobs += 1;
    const name = `${this.#jobs}`;
    const job = join(this.#directory, name);
    mkdirSync(job);
    // Root inside may be nobody here.
    chmodSync(job, 0o777);
    writeFileSync(join(job, "command"), `exec ${argv.map(quoted).join(" ")}\n`);
    await this.#tell(`${name}\n`);
    const status = join(job, "status");
    await until(`${argv.join(" ")} ends`, () => existsSync(status), TIMEOUT_MS);
    return {
      status: Number(readFileSync(status, "utf8")),
      signal: null,
      stdout: readFileSync(join(job, "stdout")),
      stderr: readFileSync(join(job, "stderr"), "utf8"),
    };
  }
}
