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

/** On a starved machine a keeper may take long. */
const ANSWER_WITHIN_MS = 60_000;
/** One that has been stopped is not waited for. */
const LOOK_EVERY_MS = 2000;
/** How often a keeper is asked that has hung up before it was told what. */
const ATTEMPTS = 30;

/** What files are called that are about one mount point. */
export function nameOf(mountpoint: string): string {
  const name = encodeURIComponent(mountpoint.replace(/^\/+/, ""));
  // A socket's path has room for 107 bytes.
  if (name.length <= 80) {
    return name;
  }
  const { createHash } = process.getBuiltinModule("node:crypto");
  const hash = createHash("sha256").update(mountpoint).digest("hex").slice(0, 16);
  return `${name.slice(0, 60)}-${hash}`;
}

/** Where the keeper of a mount point listens: one socket per mount, for root only. */
export function socketOf(mountpoint: string): string {
  return `/run/vprocfs/${nameOf(mountpoint)}.sock`;
}

/**
 * Whether the service manager hands us the mount of an earlier keeper (native/keeper/store.h), which
 * is then not to be asked anything: nobody serves it.
 */
export function inheritsMount(env: NodeJS.ProcessEnv, pid: number): boolean {
  const names = env.LISTEN_FDNAMES?.split(":") ?? [];
  return env.LISTEN_PID === String(pid) && names.includes("fuse-0-0");
}

/** What a keeper's worker is told: the descriptors and where the mount is. */
export interface Workplace {
  readonly inherit: Inheritance;
  readonly mountpoint: string;
}

/** What a worker has from its keeper; undefined for a process that no keeper started. */
export function workplace(env: NodeJS.ProcessEnv): Workplace | undefined {
  const mountpoint = env[MOUNTPOINT_VARIABLE];
  const fdOf = (name: string): number | undefined => {
    const fd = Number(env[`VPROCFS_KEEPER_${name}_FD`]);
    return Number.isInteger(fd) ? fd : undefined;
  };
  const [fuseFd, stateFd, controlFd] = [fdOf("FUSE"), fdOf("STATE"), fdOf("CONTROL")];
  if (
    mountpoint === undefined ||
    fuseFd === undefined ||
    stateFd === undefined ||
    controlFd === undefined
  ) {
    return undefined;
  }
  const [polledFuseFd, polledStateFd] = [fdOf("POLLED_FUSE"), fdOf("POLLED_STATE")];
  const polled =
    polledFuseFd === undefined || polledStateFd === undefined
      ? {}
      : { polledFuseFd, polledStateFd };
  return { inherit: { fuseFd, stateFd, controlFd, ...polled }, mountpoint };
}

/** KeeperPacket and KeeperMessage::kFailed of native/state/keeper_protocol.h. */
const PACKET = { bytes: 128, whyAt: 24, failed: 20 } as const;

/**
 * Reports to the keeper why this worker cannot serve, for its log and for who asked for a reload;
 * without it they only learn an exit status. Does nothing in a process that no keeper started.
 */
export function reportToKeeper(env: NodeJS.ProcessEnv, why: string): void {
  const controlFd = workplace(env)?.inherit.controlFd;
  if (controlFd === undefined) {
    return;
  }
  const packet = Buffer.alloc(PACKET.bytes);
  packet.writeUInt32LE(PACKET.failed);
  packet.write(printable(why), PACKET.whyAt, PACKET.bytes - PACKET.whyAt - 1, "latin1");
  try {
    writeSync(controlFd, packet);
  } catch {
    // It will see us end.
  }
}

/** A file's state and its path, as native/keeper/launch.cc compares them. */
export function stampOf(path: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return `${ino}:${size}:${mtimeNs}:${ctimeNs} ${path}`;
  } catch {
    return `- ${path}`;
  }
}

/** What another version replaces. */
export function programFiles(): string[] {
  const scripts = process.argv.slice(1, 2).map((path) => realpathSync(path));
  return [
    process.execPath,
    ...scripts,
    ...nativeCandidates("vprocfs-keeper").filter((path) => existsSync(path)),
  ];
}

/** What a keeper starts. */
export interface WorkerCommand {
  readonly command: readonly string[];
  /** stampOf() of all files that decide on the keeper's own options. */
  readonly stamps: readonly string[];
}

/** What the keeper is told that is not in the configuration. */
export interface KeeperPlace {
  /** Where files are mounted that are polled; without it they are polled on the one mount. */
  readonly polled: string | undefined;
  readonly json: boolean;
}

/**
 * Becomes the keeper, which mounts and then starts `vprocfs worker` with the arguments that this
 * process had. The process id stays, so that supervisors see one service. Returns only by throwing.
 */
export function execKeeper(
  binding: Pick<NativeBinding, "exec">,
  config: Config,
  { polled, json }: KeeperPlace,
  worker: WorkerCommand,
): never {
  const keeper = nativeCandidates("vprocfs-keeper").find((path) => existsSync(path));
  if (keeper === undefined) {
    throw new VprocfsError("ADDON", "the keeper is not built: run 'npm run build'");
  }
  const socket = socketOf(config.mountpoint);
  try {
    mkdirSync(dirname(socket), { recursive: true, mode: 0o700 });
  } catch {
    // A full or read-only /run: the keeper serves without a socket, and says so.
  }
  // Where what it leaves when it ends waits for the next one (native/keeper/call_passthrough.h).
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

/** How long readers get errors before the service manager tries again to start us. */
const HOLD_MS = 5000;

/**
 * Becomes the keeper that answers with errors for a while, instead of leaving the readers of an
 * inherited mount waiting. Returns when it cannot.
 */
export function holdMount(binding: Pick<NativeBinding, "exec">): void {
  const keeper = nativeCandidates("vprocfs-keeper").find((path) => existsSync(path));
  if (keeper !== undefined) {
    binding.exec([keeper, "--hold-ms", String(HOLD_MS)]);
  }
}

/**
 * Sends one command to the keeper of a mount point and resolves to its answer. A keeper hangs up on who
 * says nothing for a second, since it hears one at a time: on a starved machine that is us, and we try
 * again.
 */
export function askKeeper(mountpoint: string, command: "status" | "reload"): Promise<string> {
  return askSocket(socketOf(mountpoint), mountpoint, command);
}

/** The same at a path. */
export function askSocket(
  path: string,
  mountpoint: string,
  command: "status" | "reload",
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
      const stopped = stoppedProcess("--socket", path);
      if (stopped !== undefined) {
        fail(`its keeper does not answer: process ${stopped} is stopped (SIGCONT resumes it)`);
      }
    }, LOOK_EVERY_MS);
    socket.on("close", () => clearInterval(look));
    socket
      .setEncoding("utf8")
      .setTimeout(ANSWER_WITHIN_MS)
      .on("timeout", () => {
        if (command === "status") {
          isLate();
          return;
        }
        // On a starved machine a worker takes long to start: how long it may is up to the keeper.
        askKeeper(mountpoint, "status").then(() => socket.setTimeout(ANSWER_WITHIN_MS), isLate);
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
      // The command was not taken, or it would have had an answer or an end.
      if ((code === "EPIPE" || code === "ECONNRESET") && answer === "" && attempts > 1) {
        socket.destroy();
        resolve(askSocket(path, mountpoint, command, attempts - 1));
        return;
      }
      const isAbsent = code === "ENOENT" || code === "ECONNREFUSED";
      const reason = isAbsent ? "no keeper serves here" : `cannot ask its keeper (${code})`;
      fail(code === "EACCES" ? "must be run as root" : reason, error);
    });
  });
}
