// Runs commands in a virtual machine with cgroup v2 (or v1); boot.sh beside this file says how.

import { spawn } from "node:child_process";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../../src/errors.js";
import { runSync } from "../command.js";
import { temporaryDirectory } from "../daemon.js";
import type { Scope } from "../scope.js";
import { until } from "../wait.js";

interface VmOptions {
  /** CPUs; 2 unless told. */
  readonly cpus?: number;
  /** Memory in MiB; 3072 unless told. */
  readonly memoryMiB?: number;
  /** Swap space in MiB, 0 for none; 1024 unless told. */
  readonly swapMiB?: number;
  /** Seconds until the machine is killed and `code` is 124; 600 unless told. */
  readonly timeoutSeconds?: number;
  /** A directory of the host that is read-write at /mnt/share inside. */
  readonly share?: string;
  /** The version of cgroups, as systemd would mount it; v2 unless told. */
  readonly cgroup?: "v1" | "v2";
  /** More arguments for the guest's kernel. */
  readonly kernelArguments?: string;
  /** More environment variables for the command. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface VmResult {
  /** The command's exit status, 124 after a timeout. */
  readonly code: number;
  /** What the command wrote to stdout and stderr. */
  readonly stdout: string;
}

/** The exit status with which boot.sh says that the machine failed, not the command. */
const MACHINE_FAILED = 125;

/** boot.sh, also from where the compiler puts this module. */
function bootScript(): string {
  const relative = join("test", "support", "vm", "boot.sh");
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, relative))) {
    const parent = dirname(directory);
    if (parent === directory) {
      throw new Error(`no ${relative} above ${fileURLToPath(import.meta.url)}`);
    }
    directory = parent;
  }
  return join(directory, relative);
}

/** Why no virtual machine can be run here, undefined if one can. */
export function vmUnavailable(): string | undefined {
  try {
    const check = runSync([bootScript(), "--check"]);
    return check.status === 0 ? undefined : check.stderr.trim();
  } catch (error) {
    return messageOf(error);
  }
}

function bootArguments(command: readonly string[], options: VmOptions): string[] {
  const flags: readonly (readonly [string, string | number | undefined])[] = [
    ["--smp", options.cpus],
    ["--memory", options.memoryMiB],
    ["--swap", options.swapMiB],
    ["--timeout", options.timeoutSeconds],
    ["--share", options.share],
    ["--cgroup", options.cgroup],
    ["--append", options.kernelArguments],
  ];
  const given = flags.flatMap(([flag, value]) => (value === undefined ? [] : [flag, `${value}`]));
  const env = Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`);
  return [...given, "--", ...(env.length === 0 ? [] : ["env", ...env]), ...command];
}

/** Boots a machine, runs the command in it as root in the project's directory, and ends it. */
async function runInVm(command: readonly string[], options: VmOptions = {}): Promise<VmResult> {
  // It ends its machine when it is told to, also by our own end.
  const argv = ["--pdeathsig", "TERM", bootScript(), ...bootArguments(command, options)];
  const child = spawn("setpriv", argv, { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status, signal) => {
      if (status === null) {
        reject(new Error(`boot.sh was ended by ${String(signal)}`));
      } else {
        resolve(status);
      }
    });
  });
  if (code === MACHINE_FAILED) {
    throw new Error(`the virtual machine failed: ${stderr.trim()}\n${stdout}`);
  }
  return { code, stdout };
}

/** Seconds for which a machine may live that runs many commands. */
const LIFE_SECONDS = 4 * 3600;
const LET_END_MS = 60_000;

/** A machine that runs one command after the other: booting costs more than most of them. */
export class Vm {
  /** Where serve.sh finds its jobs. */
  readonly #jobs: string;
  readonly #end: Promise<VmResult>;
  #hasEnded = false;
  #made = 0;

  private constructor(jobs: string, options: VmOptions) {
    this.#jobs = jobs;
    const serve = ["sh", join(dirname(bootScript()), "serve.sh"), "/mnt/share"];
    this.#end = runInVm(serve, { timeoutSeconds: LIFE_SECONDS, ...options, share: jobs }).finally(
      () => {
        this.#hasEnded = true;
      },
    );
    // Whoever waits for a command is told.
    this.#end.catch(() => {});
  }

  /** Boots one, which ends with the scope. The first command waits until it is up. */
  static boot(scope: Scope, options: Omit<VmOptions, "share" | "env"> = {}): Vm {
    const jobs = temporaryDirectory(scope, "vm");
    const vm = new Vm(jobs, options);
    scope.defer(async () => {
      writeFileSync(join(jobs, "stop"), "");
      await until("the virtual machine ends", () => vm.#hasEnded, LET_END_MS);
    });
    return vm;
  }

  /**
   * Runs a command as root in the project's directory. After `seconds` it is killed and its exit
   * status is 124; what a failed one has started is ended.
   */
  async run(command: readonly string[], seconds: number): Promise<VmResult> {
    this.#made += 1;
    const at = (suffix: string): string => join(this.#jobs, `${this.#made}.${suffix}`);
    const words = ["timeout", "--kill-after=10", `${seconds}`, ...command];
    const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`);
    writeFileSync(at("new"), `exec ${quoted.join(" ")}\n`);
    renameSync(at("new"), at("job"));
    const deadline = (seconds + 300) * 1000;
    await until(
      `${command.join(" ")} ends`,
      () => existsSync(at("status")) || this.#hasEnded,
      deadline,
    );
    if (!existsSync(at("status"))) {
      const { code, stdout } = await this.#end;
      throw new Error(`the virtual machine ended (${code}) under a command: ${stdout}`);
    }
    const status = Number(readFileSync(at("status"), "utf8"));
    return { code: status, stdout: readFileSync(at("out"), "utf8") };
  }
}
