// System calls of another process, one by one; native/syscalls.c makes them.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:fs";
import { getSystemErrorName } from "node:util";
import { environmentOf } from "./command.js";
import { program } from "./programs.js";
import type { Scope } from "./scope.js";

export interface Answer {
  /** What the call returned. */
  readonly result: number;
  /** "ENOENT" and so on; undefined when it succeeded. */
  readonly error: string | undefined;
  readonly data: Buffer;
}

interface Attributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly blocks: number;
  readonly ino: bigint;
  readonly links: number;
}

interface Entry {
  readonly type: number;
  readonly ino: bigint;
  readonly name: string;
}

export class Syscalls {
  readonly #child: ChildProcess;
  #received = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => {};
  #last: Promise<unknown> = Promise.resolve();

  private constructor(argv: readonly string[]) {
    const [command = "", ...rest] = argv;
    const env = environmentOf(argv);
    this.#child = spawn(command, rest, { stdio: ["pipe", "pipe", "inherit"], env });
    this.#child.stdout?.on("data", (bytes: Buffer) => {
      this.#received = Buffer.concat([this.#received, bytes]);
      this.#wake();
    });
    this.#child.stdin?.on("error", () => {});
    this.#child.on("close", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** In a process of the host, or in what `argv` runs the program in. */
  static start(scope: Scope, argv: readonly string[] = [program("syscalls")]): Syscalls {
    const calls = new Syscalls(argv);
    const ended = once(calls.#child, "close");
    scope.defer(async () => {
      calls.#child.stdin?.end();
      await ended;
    });
    return calls;
  }

  async #take(): Promise<Answer> {
    for (;;) {
      const end = this.#received.indexOf("\n");
      const [result = 0, errno = 0, length = 0] = this.#received
        .subarray(0, Math.max(end, 0))
        .toString()
        .split(" ")
        .map(Number);
      if (end >= 0 && this.#received.length > end + length) {
        const data = this.#received.subarray(end + 1, end + 1 + length);
        this.#received = this.#received.subarray(end + 1 + length);
        return { result, error: errno === 0 ? undefined : getSystemErrorName(-errno), data };
      }
      if (this.#ended) {
        throw new Error("the process that makes system calls has ended");
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** One call; calls queue up. */
  call(...words: readonly (string | number)[]): Promise<Answer> {
    const answer = this.#last.then(() => {
      this.#child.stdin?.write(`${words.join(" ")}\n`);
      return this.#take();
    });
    this.#last = answer.catch(() => {});
    return answer;
  }

  /** One call that must succeed. */
  async must(...words: readonly (string | number)[]): Promise<Answer> {
    const answer = await this.call(...words);
    if (answer.error !== undefined) {
      throw new Error(`${words.join(" ")}: ${answer.error}`);
    }
    return answer;
  }

  async open(path: string, flags = constants.O_RDONLY): Promise<number> {
    return (await this.must("open", flags, path)).result;
  }

  async close(fd: number): Promise<void> {
    await this.must("close", fd);
  }

  async read(fd: number, size: number): Promise<string> {
    return (await this.must("read", fd, size)).data.toString();
  }

  async pread(fd: number, size: number, offset: number): Promise<string> {
    return (await this.must("pread", fd, size, offset)).data.toString();
  }

  /** Reads on to the end, `size` bytes at a time. */
  async rest(fd: number, size = 65536): Promise<string> {
    let text = "";
    for (;;) {
      const more = await this.read(fd, size);
      if (more === "") {
        return text;
      }
      text += more;
    }
  }

  /** Opens, reads all and closes. */
  async file(path: string): Promise<string> {
    const fd = await this.open(path);
    const text = await this.rest(fd);
    await this.close(fd);
    return text;
  }

  async seek(fd: number, offset: number): Promise<void> {
    await this.must("lseek", fd, offset, 0);
  }

  async fstat(fd: number): Promise<Attributes> {
    return attributes((await this.must("fstat", fd)).data.toString());
  }

  /** By another thread of the same process than opens. */
  async fstatElsewhere(fd: number): Promise<Attributes> {
    return attributes((await this.must("fstat_elsewhere", fd)).data.toString());
  }

  async stat(path: string): Promise<Attributes> {
    return attributes((await this.must("stat", path)).data.toString());
  }

  async list(path: string): Promise<Entry[]> {
    const lines = (await this.must("list", path)).data.toString().split("\n").slice(0, -1);
    return lines.map((line) => {
      const [type, ino, ...name] = line.split(" ");
      return { type: Number(type), ino: BigInt(ino ?? 0), name: name.join(" ") };
    });
  }
}

function attributes(text: string): Attributes {
  const [mode = "", uid, gid, size, blocks, ino = "", links] = text.split(" ");
  return {
    mode: Number.parseInt(mode, 8),
    uid: Number(uid),
    gid: Number(gid),
    size: Number(size),
    blocks: Number(blocks),
    ino: BigInt(ino),
    links: Number(links),
  };
}
