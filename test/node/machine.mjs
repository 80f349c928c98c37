// One QEMU machine: boots a disk or goes on from a frozen state, and is driven over SSH.

import { spawn, spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CPUS, MEMORY_MIB } from "./nodes.mjs";

/** What went wrong with a machine, not with what is tested in it. */
export class MachineError extends Error {}

/** Machines that run. Whatever ends this process ends them, too. */
const running = new Set();
process.on("exit", () => {
  for (const machine of running) {
    machine.kill();
  }
});

/** Seconds until a machine's kernel has written its first line, a connection is there, it has stopped. */
const FIRST_LINE = 90;
const CONNECTION = 900;
const FREEZE = 120;
/** How often a machine is started until it counts as one that does not start. */
const ATTEMPTS = 3;

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function outcome(child, seconds) {
  return new Promise((resolve) => {
    const parts = { stdout: [], stderr: [] };
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, seconds * 1000);
    child.stdout?.on("data", (data) => parts.stdout.push(data));
    child.stderr?.on("data", (data) => parts.stderr.push(data));
    child.on("error", (error) => parts.stderr.push(Buffer.from(error.message)));
    child.on("close", (status) => {
      clearTimeout(timer);
      const text = (name) => Buffer.concat(parts[name]).toString();
      resolve({ status: status ?? 1, stdout: text("stdout"), stderr: text("stderr"), late });
    });
  });
}

/** QEMU's monitor for programs. */
class Monitor {
  #socket;
  #rest = "";
  #waiting = [];

  static async connect(path) {
    const monitor = new Monitor();
    await new Promise((resolve, reject) => {
      monitor.#socket = createConnection(path, resolve).on("error", reject);
    });
    monitor.#socket.on("error", () => monitor.#end()).on("close", () => monitor.#end());
    monitor.#socket.on("data", (data) => monitor.#take(data));
    await monitor.ask("qmp_capabilities");
    return monitor;
  }

  #take(data) {
    const lines = (this.#rest + data).split("\n");
    this.#rest = lines.pop();
    for (const line of lines.filter((text) => text.trim() !== "")) {
      const message = JSON.parse(line);
      if ("return" in message) {
        this.#waiting.shift()?.resolve(message.return);
      } else if ("error" in message) {
        this.#waiting.shift()?.reject(new MachineError(`QEMU: ${message.error.desc}`));
      }
    }
  }

  #end() {
    for (const { reject } of this.#waiting.splice(0)) {
      reject(new MachineError("QEMU has ended"));
    }
  }

  ask(execute, parameters = {}) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#socket.write(`${JSON.stringify({ execute, arguments: parameters })}\n`);
    });
  }

  close() {
    this.#socket.destroy();
  }
}

export class Machine {
  #directory;
  #image;
  #qemu;
  #ssh;
  #monitor;
  #port;
  #ended = false;

  /**
   * Boots the image's disk, or goes on from `frozen`; what it writes goes to `directory`, with the
   * console's output and the SSH connection's socket.
   *
   * @param {{kind: import("./nodes.mjs").NodeKind, directory: string}} image
   * @param {{disk: string, format: string, state?: string}} from
   * @param {string} directory
   */
  static async start(image, from, directory) {
    // QEMU's emulation of several CPUs crashes a kernel now and then while it patches itself, and a busy
    // host makes a boot hang before its first line. Neither is a fault of what is tested.
    for (let attempt = 1; ; attempt += 1) {
      const machine = new Machine();
      try {
        await machine.#start(image, from, directory);
        return machine;
      } catch (error) {
        machine.kill();
        if (attempt === ATTEMPTS || !(error instanceof MachineError)) {
          throw error;
        }
      }
    }
  }

  get console() {
    return join(this.#directory, "console.log");
  }

  async #start(image, from, directory) {
    this.#directory = directory;
    this.#image = image;
    mkdirSync(directory, { recursive: true });
    const disk = join(directory, "disk.qcow2");
    rmSync(disk, { force: true });
    const create = ["create", "-q", "-f", "qcow2", "-b", from.disk, "-F", from.format, disk];
    const made = spawnSync("qemu-img", create, { encoding: "utf8" });
    if (made.status !== 0) {
      throw new MachineError(`qemu-img: ${made.error?.message ?? made.stderr.trim()}`);
    }
    await this.#launch(from.state);
  }

  /** Runs QEMU on the disk until somebody can connect. */
  async #launch(state) {
    const inside = (name) => join(this.#directory, name);
    for (const name of ["monitor", "ssh", "console.log"]) {
      rmSync(inside(name), { force: true });
    }
    this.#port = await freePort();
    const { kind, directory } = this.#image;
    const log = openSync(inside("qemu.log"), "w");
    const argv = [
      // Nothing is left when this process is killed.
      ...["setpriv", "--pdeathsig", "KILL", ...kind.qemu],
      ...["-smp", String(CPUS), "-m", String(MEMORY_MIB), "-display", "none", "-nodefaults"],
      ...["-serial", `file:${this.console}`, "-qmp", `unix:${inside("monitor")},server,nowait`],
      ...["-kernel", join(directory, "kernel"), "-initrd", join(directory, "initrd"), "-no-reboot"],
      ...["-append", `console=${kind.console} root=/dev/vda rw psi=1 panic=-1`],
      ...["-drive", `if=virtio,format=qcow2,cache=unsafe,file=${inside("disk.qcow2")}`],
      ...["-netdev", `user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:${this.#port}-:22`],
      ...["-device", "virtio-net-pci,netdev=n,romfile=", "-device", "virtio-rng-pci"],
      ...(state === undefined ? [] : ["-incoming", `exec:cat '${state}'`]),
    ];
    this.#ended = false;
    const qemu = spawn(argv[0], argv.slice(1), { stdio: ["ignore", log, log] });
    closeSync(log);
    this.#qemu = qemu;
    running.add(this);
    const ended = () => {
      if (this.#qemu === qemu) {
        this.#ended = true;
        running.delete(this);
      }
    };
    qemu.on("error", ended).on("exit", ended);
    await this.#until("QEMU to answer", 60, async () => {
      try {
        this.#monitor = await Monitor.connect(inside("monitor"));
        return true;
      } catch {
        return false;
      }
    });
    if (state === undefined) {
      const size = () => statSync(this.console, { throwIfNoEntry: false })?.size ?? 0;
      await this.#until("the kernel's first line", FIRST_LINE, () => size() > 0);
    } else {
      await this.#until("the frozen state", FREEZE, async () => {
        const { status } = await this.#monitor.ask("query-status");
        return status !== "inmigrate";
      });
      await this.#monitor.ask("cont");
    }
    await this.connect();
  }

  async #until(what, seconds, check) {
    const deadline = Date.now() + seconds * 1000;
    while (!(await check())) {
      if (this.#ended) {
        const text = readFileSync(join(this.#directory, "qemu.log"), "utf8").trim();
        const why = text === "" ? `see ${this.console}` : text.split("\n").pop();
        throw new MachineError(`QEMU has ended: ${why}`);
      }
      if (Date.now() > deadline) {
        throw new MachineError(`${what}: not within ${seconds} s, see ${this.console}`);
      }
      await sleep(200);
    }
  }

  #options() {
    const { directory } = this.#image;
    const options = {
      ControlPath: join(this.#directory, "ssh"),
      StrictHostKeyChecking: "no",
      UserKnownHostsFile: "/dev/null",
      LogLevel: "ERROR",
      ConnectTimeout: "60",
      ServerAliveInterval: "30",
      ServerAliveCountMax: "20",
    };
    const pairs = Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
    return ["-F", "none", "-i", join(directory, "key"), "-p", String(this.#port), ...pairs];
  }

  /** Connects, which a boot or a reboot has to be far enough for. */
  async connect() {
    const target = "root@127.0.0.1";
    await this.#until("a connection", CONNECTION, async () => {
      this.#ssh?.kill("SIGKILL");
      rmSync(join(this.#directory, "ssh"), { force: true });
      this.#ssh = spawn("ssh", [...this.#options(), "-M", "-N", target], { stdio: "ignore" });
      let over = false;
      this.#ssh.on("exit", () => {
        over = true;
      });
      this.#ssh.on("error", () => {
        over = true;
      });
      const deadline = Date.now() + 90_000;
      while (!over && Date.now() < deadline) {
        if (statSync(join(this.#directory, "ssh"), { throwIfNoEntry: false }) !== undefined) {
          return (await this.run("true", { seconds: 60 })).status === 0;
        }
        await sleep(200);
      }
      return false;
    });
  }

  /** Runs a shell script as root. Whatever it writes and its status are the answer's. */
  async run(script, { seconds = 300, input } = {}) {
    const argv = [...this.#options(), "root@127.0.0.1", "bash", "-c", quote(script)];
    const child = spawn("ssh", argv, { stdio: ["pipe", "pipe", "pipe"] });
    child.stdin.on("error", () => {});
    child.stdin.end(input ?? "");
    const result = await outcome(child, seconds);
    if (this.#ended) {
      throw new MachineError("QEMU has ended");
    }
    return result;
  }

  /** Copies files into a directory of the machine. */
  async copy(files, directory) {
    for (const file of files) {
      const name = quote(join(directory, file.split("/").pop()));
      const { mode } = statSync(file);
      const script = `mkdir -p ${quote(directory)}; cat >${name}; chmod ${(mode & 0o777).toString(8)} ${name}`;
      const result = await this.run(script, { input: readFileSync(file) });
      if (result.status !== 0) {
        throw new MachineError(`cannot copy ${file}: ${result.stderr.trim()}`);
      }
    }
  }

  /** Reboots, and waits until it answers again. */
  async reboot() {
    // It ends at a reset, and is started anew: a kernel that panics does that, too.
    const ended = new Promise((resolve) => this.#qemu.on("exit", resolve));
    await this.run("nohup systemctl reboot >/dev/null 2>&1 & exit 0", { seconds: 60 });
    const late = new AbortController();
    const timeout = sleep(CONNECTION * 1000, "late", { signal: late.signal }).catch(() => {});
    if ((await Promise.race([ended, timeout])) === "late") {
      throw new MachineError(`shutting down: not within ${CONNECTION} s, see ${this.console}`);
    }
    late.abort();
    this.kill();
    await this.#launch();
  }

  /** Ends the machine, and leaves its memory in `state` and its disk where it is. */
  async freeze(state) {
    await this.run("sync");
    this.#ssh?.kill("SIGKILL");
    await this.#monitor.ask("stop");
    await this.#monitor.ask("migrate-set-parameters", { "max-bandwidth": 2 ** 34 });
    await this.#monitor.ask("migrate", { uri: `exec:cat >'${state}'` });
    await this.#until("freezing", FREEZE, async () => {
      const { status, "error-desc": reason } = await this.#monitor.ask("query-migrate");
      if (status === "failed") {
        throw new MachineError(`freezing failed: ${reason ?? "no reason"}`);
      }
      return status === "completed";
    });
    this.kill();
    return { disk: join(this.#directory, "disk.qcow2"), format: "qcow2", state };
  }

  /** Ends the machine at once. */
  kill() {
    this.#ssh?.kill("SIGKILL");
    this.#monitor?.close();
    this.#qemu?.kill("SIGKILL");
    running.delete(this);
  }
}

/** A word of the shell. */
function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
