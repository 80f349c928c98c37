import { existsSync, mkdirSync, realpathSync, statSync, writeSync } from "node:fs";
import { createConnection } from "node:net";
import { dirname, join } from "node:path";
import type { Config } from "./config.js";
import { errnoOf, VprocfsError } from "./errors.js";
import { nativeCandidates } from "./layout.js";
import type { NativeBinding } from "./native/binding.js";
import type { Inheritance } from "./native/session.js";
import { stoppedProcess } from "./processes.js";
import { printable } from "./text.js";

/** kMountpointVariable of native/state/keeper_protocol.h. */
const MOUNTPOINT_VARIABLE = "VPROCFS_KEEPER_MOUNTPOINT";

/** A keeper may take long to answer on a node without CPU time to spare. */
const ANSWER_WITHIN_MS = 60_000;
/** How often to check whether the keeper has been stopped (SIGSTOP): it is not waited for then. */
const LOOK_EVERY_MS = 2000;
/** How often to ask again if the keeper hangs up before it has read the command. */
const ATTEMPTS = 30;

/** The name, without a suffix, of the files in /run/vprocfs that belong to a mount point. */
export function nameOf(mountpoint: string): string {
  const name = encodeURIComponent(mountpoint.replace(/^\/+/, ""));
  // A socket's path has room for 107 bytes, also for those of "NAME.figures.PID" (operator-socket.ts).
  if (name.length <= 80) {
    return name;
  }
  const { createHash } = process.getBuiltinModule("node:crypto");
  const hash = createHash("sha256").update(mountpoint).digest("hex").slice(0, 16);
  return `${name.slice(0, 60)}-${hash}`;
}

/** The socket of a mount point's keeper, for root only. */
export function socketOf(mountpoint: string): string {
  return `/run/vprocfs/${nameOf(mountpoint)}.sock`;
}

/**
 * Whether the service manager hands this process the mount of an earlier keeper (native/keeper/store.h). Such a mount
 * must not be asked anything, because nobody serves it yet.
 */
export function inheritsMount(env: NodeJS.ProcessEnv, pid: number): boolean {
  const names = env.LISTEN_FDNAMES?.split(":") ?? [];
  return env.LISTEN_PID === String(pid) && names.includes("fuse-0-0");
}

/** What a keeper tells its worker: what it inherits, and the mount point. */
interface Workplace {
  readonly inherit: Inheritance;
  readonly mountpoint: string;
}

/** What the keeper has told this process; undefined: no keeper started it. */
export function workplace(env: NodeJS.ProcessEnv): Workplace | undefined {
  const mountpoint = env[MOUNTPOINT_VARIABLE];
  const numberOf = (name: string): number | undefined => {
    const number = Number(env[`VPROCFS_KEEPER_${name}`]);
    return Number.isInteger(number) ? number : undefined;
  };
  const [fuseFd, stateFd, controlFd] = [
    numberOf("FUSE_FD"),
    numberOf("STATE_FD"),
    numberOf("CONTROL_FD"),
  ];
  if (
    mountpoint === undefined ||
    fuseFd === undefined ||
    stateFd === undefined ||
    controlFd === undefined
  ) {
    return undefined;
  }
  const [polledFuseFd, polledStateFd] = [numberOf("POLLED_FUSE_FD"), numberOf("POLLED_STATE_FD")];
  const polled =
    polledFuseFd === undefined || polledStateFd === undefined
      ? {}
      : { polledFuseFd, polledStateFd };
  const [device, polledDevice] = [numberOf("DEVICE"), numberOf("POLLED_DEVICE")];
  const devices = {
    ...(device === undefined ? {} : { device }),
    ...(polledDevice === undefined ? {} : { polledDevice }),
  };
  return { inherit: { fuseFd, stateFd, controlFd, ...polled, ...devices }, mountpoint };
}

/** KeeperPacket and KeeperMessage::kFailed of native/state/keeper_protocol.h. */
const PACKET = { bytes: 128, whyAt: 24, failed: 20 } as const;

/**
 * Reports to the keeper why this worker cannot serve, for the keeper's log and for `vprocfs reload`, which would know
 * only an exit status. Does nothing in a process that no keeper started.
 */
export function reportToKeeper(env: NodeJS.ProcessEnv, why: string): void {
  const controlFd = workplace(env)?.inherit.controlFd;
  if (controlFd === undefined) {
    return;
  }
  const packet = Buffer.alloc(PACKET.bytes);
  packet.writeUInt32LE(PACKET.failed);
  // What is cut must still be text.
  const text = printable(why).replaceAll(/[^\x20-\x7e]/gu, "?");
  packet.write(text, PACKET.whyAt, PACKET.bytes - PACKET.whyAt - 1, "latin1");
  try {
    writeSync(controlFd, packet);
  } catch {
    // The keeper will notice that this worker has ended.
  }
}

/** A file's state and path in the form that native/keeper/launch.cc compares. */
export function stampOf(path: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return `${ino}:${size}:${mtimeNs}:${ctimeNs} ${path}`;
  } catch {
    return `- ${path}`;
  }
}

/** The programs that another version would replace. */
export function programFiles(): string[] {
  const scripts = process.argv.slice(1, 2).map((path) => realpathSync(path));
  return [
    process.execPath,
    ...scripts,
    ...nativeCandidates("vprocfs-keeper").filter((path) => existsSync(path)),
  ];
}

/** The path of the keeper's program; undefined if there is none. */
function findKeeper(): string | undefined {
  return nativeCandidates("vprocfs-keeper").find((path) => existsSync(path));
}

/** The same, for a process that needs one. */
export function keeperProgram(): string {
  const keeper = findKeeper();
  if (keeper === undefined) {
    throw new VprocfsError("ADDON", "the keeper is not built: run 'npm run build'");
  }
  return keeper;
}

/** How the keeper starts workers. */
interface WorkerCommand {
  readonly command: readonly string[];
  /** stampOf() of all files that the keeper's own options depend on. */
  readonly stamps: readonly string[];
}

/** What the keeper is told besides the configuration. */
interface KeeperPlace {
  /** The second mount point; without it files are polled on the main mount. */
  readonly polled: string | undefined;
  readonly json: boolean;
}

/**
 * Replaces this process by the keeper, which mounts and then starts `vprocfs worker` with the arguments of
 * this process. The PID stays the same, so that supervisors see one service. Returns only by throwing.
 */
export function execKeeper(
  binding: Pick<NativeBinding, "exec">,
  config: Config,
  { polled, json }: KeeperPlace,
  worker: WorkerCommand,
): never {
  const keeper = keeperProgram();
  const socket = socketOf(config.mountpoint);
  try {
    mkdirSync(dirname(socket), { recursive: true, mode: 0o700 });
  } catch {
    // If /run is full or read-only, the keeper logs that and serves without a socket.
  }
  // The socket of vprocfs-rest, which the keeper may leave behind when it ends (native/keeper/call_passthrough.h).
  const rest = config.calls === "on" ? ["--rest", join(config.callsDirectory, "rest.sock")] : [];
  return binding.exec([
    keeper,
    ...["--mountpoint", config.mountpoint, "--type", config.fsType, "--source", config.source],
    ...["--consistency", config.consistency],
    ...(polled === undefined ? [] : ["--polled", polled]),
    ...rest,
    ...["--socket", socket, "--log-format", json ? "json" : "text"],
    ...["--log-level", config.logLevel, "--standby", config.standby],
    ...["--watchdog-ms", String(config.watchdogMs), "--patience-ms", String(config.patienceMs)],
    ...worker.stamps.flatMap((stamp) => ["--unchanged", stamp]),
    "--",
    ...worker.command,
  ]);
}

/** How long readers get errors until the service manager starts us again. */
const HOLD_MS = 5000;

/** The keeper's command line for that; undefined if there is no keeper program. */
function holdCommand(): readonly [string, ...string[]] | undefined {
  const keeper = findKeeper();
  return keeper === undefined ? undefined : [keeper, "--hold-ms", String(HOLD_MS)];
}

/**
 * Replaces this process by a keeper that answers with errors for a while, so that readers of an inherited
 * mount do not wait for nobody. Returns if there is no keeper program.
 */
export function holdMount(binding: Pick<NativeBinding, "exec">): void {
  const command = holdCommand();
  if (command !== undefined) {
    binding.exec(command);
  }
}

/** Has a child answer instead, if there is no addon to execute anything with. Resolves when the child has ended. */
export async function holdMountInChild(env: NodeJS.ProcessEnv): Promise<void> {
  const command = holdCommand();
  if (command === undefined) {
    return;
  }
  const { spawn } = process.getBuiltinModule("node:child_process");
  // 0 to 2, and those that the service manager hands over, which are for the PID that it names.
  const descriptors = Array.from({ length: 3 + Number(env.LISTEN_FDS) }, (_, fd) => fd);
  const script = 'LISTEN_PID=$$; export LISTEN_PID; exec "$0" "$@"';
  const child = spawn("/bin/sh", ["-c", script, ...command], { env, stdio: descriptors });
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => child.kill(signal));
  }
  await new Promise<void>((resolve) => {
    child.on("error", () => resolve()).on("exit", () => resolve());
  });
}

/**
 * Sends a command to the keeper of a mount point; resolves to its answer. The keeper serves one client at a time and
 * hangs up on one that is silent for a second. On a busy node that may be this process, so it tries again.
 */
export function askKeeper(
  mountpoint: string,
  command: "status" | "reload",
  withinMs?: number,
): Promise<string> {
  return askSocket(socketOf(mountpoint), mountpoint, command, withinMs);
}

/** askKeeper() for the socket at `path`. It is told that the keeper does not answer after `withinMs`. */
export function askSocket(
  path: string,
  mountpoint: string,
  command: "status" | "reload",
  withinMs = ANSWER_WITHIN_MS,
  attempts = ATTEMPTS,
): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = createConnection(path, () => socket.write(command));
    const fail = (reason: string, cause?: Error): void => {
      socket.destroy();
      reject(new VprocfsError("NOT_MOUNTED", `${mountpoint}: ${reason}`, { cause }));
    };
    const isLate = (): void => fail("its keeper does not answer");
    const look = setInterval(() => {
      let stopped: number | undefined;
      try {
        stopped = stoppedProcess("--socket", path);
      } catch {
        // Something is short, and this may be a worker, which must not end. It looks again.
      }
      if (stopped !== undefined) {
        fail(`its keeper does not answer: process ${stopped} is stopped (SIGCONT resumes it)`);
      }
    }, LOOK_EVERY_MS);
    socket.on("close", () => clearInterval(look));
    socket
      .setEncoding("utf8")
      .setTimeout(withinMs)
      .on("timeout", () => {
        if (command === "status") {
          isLate();
          return;
        }
        // A worker may take long to start on a busy node. As long as the keeper answers, the reload goes on.
        askKeeper(mountpoint, "status").then(() => socket.setTimeout(withinMs), isLate);
      });
    socket.on("data", (text: string) => {
      answer += text;
    });
    socket.on("end", () => {
      socket.destroy();
      resolve(answer);
    });
    socket.on("error", (error) => {
      const code = errnoOf(error);
      // The keeper has not read the command: after reading it, it would have answered or closed the connection.
      if ((code === "EPIPE" || code === "ECONNRESET") && answer === "" && attempts > 1) {
        socket.destroy();
        resolve(askSocket(path, mountpoint, command, withinMs, attempts - 1));
        return;
      }
      const isAbsent = code === "ENOENT" || code === "ECONNREFUSED";
      const reason = isAbsent
        ? "no vprocfs with a keeper serves here: see 'vprocfs doctor'"
        : `cannot ask its keeper (${code})`;
      fail(code === "EACCES" ? "must be run as root" : reason, error);
    });
  });
}
