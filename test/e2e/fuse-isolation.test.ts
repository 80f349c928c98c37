// No container is ever given another one's bytes, whatever the page cache holds and however they
// read: neither through what the host has bound for all of them nor through the tree itself.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { MIB } from "../support/cgroups.js";
import { output, run } from "../support/command.js";
import { bindsOf, Container } from "../support/container.js";
import { Daemon, temporaryDirectory } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { memTotalKb } from "../support/procfile.js";
import { program } from "../support/programs.js";
import { readRounds } from "../support/rounds.js";
import { Syscalls } from "../support/syscalls.js";
import { fileScope, testScope } from "../support/test-scope.js";

const METHODS = ["read", "read1", "pread", "sendfile", "splice", "mmap"] as const;
/** Methods that go past the page cache. */
const DIRECT: readonly string[] = ["read", "read1", "pread"];
/** Reading byte by byte is a request for each. */
const ROUNDS = { read: 150, read1: 3, pread: 50, sendfile: 150, splice: 150, mmap: 150 } as const;

describeLive("isolation", ["busybox"], () => {
  const scope = fileScope();
  let daemon: Daemon;
  /** Bound by the host before any container was there: one node for all. */
  let shared: string;
  let host: number;
  const containers: Container[] = [];

  beforeAll(async () => {
    daemon = await Daemon.start(scope);
    shared = join(temporaryDirectory(scope, "shared"), "meminfo");
    writeFileSync(shared, "");
    daemon.bindFromHost(scope, "proc/meminfo", shared);
    for (const [index, userBase] of [undefined, undefined, 300_000].entries()) {
      const options = { memory: 2 ** index * 64 * MIB, ...(userBase && { userBase }) };
      const container = await Container.start(scope, { name: `isolated${index}`, ...options });
      // As a runtime does it that mounts from the host's PID namespace.
      const mount = ["mount", "--bind", daemon.path("proc/meminfo"), "/proc/meminfo"];
      await output(["nsenter", "-t", `${container.init}`, "-m", "--", ...mount]);
      containers.push(container);
    }
    host = memTotalKb(await output(["cat", "/proc/meminfo"]));
  });

  function totalOf(index: number): number {
    return (2 ** index * 64 * MIB) / 1024;
  }

  const paths: readonly (readonly [string, () => string])[] = [
    ["a bind by the host", () => shared],
    ["a runtime's bind", () => "/proc/meminfo"],
    ["the tree", () => daemon.path("proc/meminfo")],
    ["self", () => daemon.path("self/proc/meminfo")],
  ];

  describe.each(paths)("through %s", (name, path) => {
    it.each(METHODS)("%s, all at once", async (method) => {
      const drain = [program("drain"), method, `${ROUNDS[method]}`];
      const hostPath = name === "a runtime's bind" ? shared : path();
      const [ofHost, ...outcomes] = await Promise.all([
        run([...drain, hostPath]),
        ...containers.map((container) => container.run([...drain, path()])),
      ]);
      for (const [index, outcome] of [...outcomes, ofHost].entries()) {
        // One node for all callers has nothing that could be cached.
        const isOneForAll = name.includes("bind") || index === containers.length;
        const mayFail = isOneForAll && !DIRECT.includes(method);
        const expected = index < containers.length ? totalOf(index) : host;
        const rounds = readRounds(outcome.stdout);
        expect(rounds).toHaveLength(ROUNDS[method]);
        for (const text of rounds) {
          if (mayFail && (text === "" || /^-\d+$/.test(text))) {
            continue;
          }
          expect({ index, total: memTotalKb(text) }).toEqual({ index, total: expected });
        }
      }
    });

    it("in turn, on descriptors that stay open", async () => {
      const own = testScope();
      const readers = containers.map((container) => container.syscalls(own));
      const descriptors = await Promise.all(readers.map((calls) => calls.open(path())));
      const seen = (data: Buffer): number | undefined => {
        const total = /^MemTotal: +(\d+) kB$/m.exec(`${data}`)?.[1];
        return total === undefined ? undefined : Number(total);
      };
      for (let round = 0; round < 20; round += 1) {
        for (const words of [
          ["pread", 65536, 0],
          ["sendfile", 65536, 0],
          ["fadvise"],
          ["readahead"],
          ["mmap", 1000],
          ["sendfile", 100, 0],
          ["lseek", 0, 0],
          ["splice", 65536],
        ]) {
          const [word = "", ...rest] = words;
          for (const [index, calls] of readers.entries()) {
            const { data } = await calls.call(word, descriptors[index] ?? -1, ...rest);
            const total = seen(data);
            expect({ word, index, total: total ?? totalOf(index) }).toEqual({
              word,
              index,
              total: totalOf(index),
            });
          }
        }
      }
    });
  });

  it("what was bound from inside is whole for sendfile, splice and mmap too", async () => {
    const own = testScope();
    for (const index of [0, 1]) {
      const memory = totalOf(index) * 1024;
      const container = await Container.start(own, { memory, binds: bindsOf(daemon) });
      for (const method of METHODS) {
        const rounds = method === "read1" ? "3" : "20";
        const argv = [program("drain"), method, rounds, "/proc/meminfo"];
        for (const text of readRounds((await container.run(argv)).stdout)) {
          expect({ method, total: memTotalKb(text) }).toEqual({ method, total: totalOf(index) });
        }
      }
    }
  });

  it("programs fall back to read where sendfile is refused", async () => {
    for (const [index, container] of containers.entries()) {
      for (const command of ["busybox cat", "busybox tail -n 99", "cat", "head -c 9999"]) {
        const text = await container.shell(`${command} "$1"`, shared);
        expect({ command, total: memTotalKb(text) }).toEqual({ command, total: totalOf(index) });
      }
    }
  });

  it("a container that is gone leaves nothing to the next one in its cgroup's place", async () => {
    const own = testScope();
    const host = Syscalls.start(own);
    for (const memory of [64, 96, 128]) {
      const round = testScope();
      const container = await Container.start(round, { name: "again", memory: memory * MIB });
      const calls = container.syscalls(round);
      for (const word of ["sendfile", "splice", "read"]) {
        const fd = await calls.open(daemon.path("proc/meminfo"));
        const { data } = await calls.call(word, fd, 65536, -1);
        expect(memTotalKb(`${data}`)).toBe(memory * 1024);
      }
      const id = await container.id(daemon);
      await round.close();
      const answer = await host.call("open", 0, daemon.path("containers", id, "proc/meminfo"));
      expect(answer.error).toMatch(/^(ENOENT|ESRCH)$/);
    }
  });
});
