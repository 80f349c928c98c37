import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

interface Waiting {
  readonly command: readonly string[];
  readonly resolve: (value: string) => void;
  readonly reject: (error: Error) => void;
}

/**
 * The program that makes containers, mounts and directories (bench/load/stage.cc). It removes everything when this
 * process ends, for whatever reason.
 */
export class Stage {
  readonly #child: ChildProcess;
  readonly #waiting: Waiting[] = [];
  #ended: string | undefined;

  constructor(program: string) {
    // In a session of its own, so that Ctrl-C does not reach it.
    this.#child = spawn(program, [], { stdio: ["pipe", "pipe", "inherit"], detached: true });
    this.#child.on("error", (error) => this.#end(error.message));
    this.#child.on("exit", () => this.#end("the stage program ended"));
    this.#child.stdin?.on("error", (error) => this.#end(error.message));
    if (this.#child.stdout !== null) {
      createInterface({ input: this.#child.stdout }).on("line", (line) => this.#answer(line));
    }
  }

  /** Runs one command. Calls may overlap; commands run in the order of the calls. */
  run(...command: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(new Error(this.#ended));
        return;
      }
      this.#waiting.push({ command, resolve, reject });
      this.#child.stdin?.write(`${command.join("\t")}\n`);
    });
  }

  /** CPU time of a process with all its threads, in ns. */
  async cpuNs(pid: number): Promise<number> {
    return Number(await this.run("clock", `${pid}`));
  }

  /** Waits until a file can be read; resolves to the time of that, on the clock of process.hrtime.bigint(). */
  async awaitFile(path: string, milliseconds: number): Promise<bigint> {
    return BigInt(await this.run("await", path, `${milliseconds}`));
  }

  /** Removes everything. */
  async close(): Promise<void> {
    if (this.#ended === undefined) {
      const ended = once(this.#child, "exit");
      this.#child.stdin?.end();
      await ended;
    }
  }

  #answer(line: string): void {
    const [status, text = ""] = line.split("\t");
    const waiting = this.#waiting.shift();
    if (status === "ok") {
      waiting?.resolve(text);
    } else {
      waiting?.reject(new Error(text));
    }
  }

  #end(reason: string): void {
    this.#ended ??= reason;
    for (const { command, reject } of this.#waiting.splice(0)) {
      reject(new Error(`${command[0]}: ${reason}`));
    }
  }
}
