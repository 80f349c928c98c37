// A service under a service manager that keeps its descriptors, without systemd.

import type { ChildProcess } from "node:child_process";
import { chmodSync, mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readStatus, type Status } from "../../src/keeper-status.js";
import { mountAt, readMounts } from "../../src/mountinfo.js";
import { background, output } from "./command.js";
import { cli, removeLeft, temporaryDirectory } from "./daemon.js";
import { testName } from "./names.js";
import { project } from "./project.js";
import type { Scope } from "./scope.js";
import { until } from "./wait.js";

interface ManagedOptions {
  /** How many descriptors the manager's store takes: more than any test needs, unless told. */
  readonly limit?: number;
  /** What starts `vprocfs run`, whose words follow. */
  readonly launcher?: readonly string[];
}

export class Managed {
  readonly mountpoint: string;
  readonly #child: ChildProcess;
  #events: string[] = [];
  #logs = "";

  private constructor(child: ChildProcess, mountpoint: string) {
    this.mountpoint = mountpoint;
    this.#child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#events = (this.#events.join("\n") + text).split("\n");
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#logs += text;
    });
  }

  /** Starts `vprocfs run` under a manager, and waits until it serves. */
  static async start(
    scope: Scope,
    args: readonly string[],
    { limit = 4200, launcher = [] }: ManagedOptions = {},
  ): Promise<Managed> {
    const mountpoint = mkdtempSync(join(tmpdir(), `${testName("mnt")}-`));
    chmodSync(mountpoint, 0o755);
    scope.defer(() => rmdirSync(mountpoint));
    scope.defer(async () => {
      if (mountAt(readMounts(), mountpoint) !== undefined) {
        await output(["umount", "--lazy", mountpoint]);
      }
    });
    const directory = temporaryDirectory(scope, "manager");
    const manager = ["python3", join(project, "test/support/native/manager.py")];
    const run = [
      ...launcher,
      process.execPath,
      cli,
      "run",
      mountpoint,
      "--watch",
      "off",
      "--metrics",
      "off",
    ];
    const calls = args.includes("--calls-directory") ? [] : ["--calls", "off"];
    const command = [...manager, directory, String(limit), ...run, ...calls, ...args];
    const managed = new Managed(background(scope, command), mountpoint);
    scope.defer(() => managed.#destroy());
    await managed.serving();
    return managed;
  }

  /** The manager's. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get logs(): string {
    return this.#logs;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null;
  }

  get isMounted(): boolean {
    return mountAt(readMounts(), this.mountpoint) !== undefined;
  }

  /** The device of the mount: another one for another mount. */
  get device(): string | undefined {
    return mountAt(readMounts(), this.mountpoint)?.device;
  }

  /** What the manager has told, a line each. */
  get events(): readonly string[] {
    return this.#events;
  }

  /** Names of what the manager has been given so far, in order. */
  get stored(): string[] {
    return this.events.filter((line) => line.startsWith("stored ")).map((line) => line.slice(7));
  }

  tell(command: "restart" | "stop"): void {
    this.#child.stdin?.write(`${command}\n`);
  }

  /** Waits until a keeper other than `before` serves. */
  serving(before = 0): Promise<Status> {
    return until("it serves", async () => {
      if (this.hasEnded) {
        throw new Error(`the manager ended:\n${this.#logs}`);
      }
      try {
        const status = await readStatus(this.mountpoint);
        return status.state === "serving" && status.keeperPid !== before && status;
      } catch {
        return false;
      }
    });
  }

  async #destroy(): Promise<void> {
    if (!this.hasEnded) {
      this.tell("stop");
      await this.ended();
    }
    await removeLeft(this.mountpoint);
  }

  async ended(): Promise<void> {
    await until("the manager has ended", () => this.hasEnded);
  }
}
