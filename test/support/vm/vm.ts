// Runs commands in a virtual machine with cgroup v2 (or v1); boot.sh beside this file says how.

import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface VmOptions {
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
  const check = spawnSync(bootScript(), ["--check"], { encoding: "utf8" });
  if (check.error !== undefined) {
    return check.error.message;
  }
  return check.status === 0 ? undefined : check.stderr.trim();
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
export async function runInVm(
  command: readonly string[],
  options: VmOptions = {},
): Promise<VmResult> {
  const child = spawn(bootScript(), bootArguments(command, options), {
    stdio: ["ignore", "pipe", "pipe"],
  });
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
