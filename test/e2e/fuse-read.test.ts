// Every way of reading a file: as the kernel's seq_file does it, whole, and of one moment.

import { constants } from "node:fs";
import { cpus } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { MIB } from "../support/cgroups.js";
import { bindsOf, Container } from "../support/container.js";
import { Daemon, VIEWS } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { checkMeminfo, checkStat, cpuinfoIds, memTotalKb } from "../support/procfile.js";
import { program } from "../support/programs.js";
import { readRounds } from "../support/rounds.js";
import type { Syscalls } from "../support/syscalls.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const SMALL = 64 * MIB;
const BIG = 128 * MIB;

const SEEK_END = 2;
const SEEK_HOLE = 4;

/** Runs the command of a test on each of the files, and prints between marks what they are before, twice by it, and after. */
const LOOK_AT_ALL = `
copy=$1 drain=$2 command=$3
shift 3
for file; do
  for each in 'cat "$1"' "$command" "$command" 'cat "$1"'; do
    sh -c "$each" sh "$file" "$copy" "$drain" || exit
    printf '\\0'
  done
done`;

/** Digits vary from moment to moment; the rest of a file of one container does not. */
function shape(text: string): string {
  return text.replaceAll(/ *\d+/g, " 0");
}

describeLive("reading", ["busybox", "rsync", "python3"], () => {
  const scope = fileScope();
  let daemon: Daemon;
  let container: Container;

  beforeAll(async () => {
    daemon = await Daemon.start(scope);
    container = await Container.start(scope, {
      name: "reader",
      memory: SMALL,
      binds: bindsOf(daemon),
    });
  });

  describe("a descriptor", () => {
    /** A file of a machine of SMALL, half way read; limits have changed since. */
    async function halfRead(
      size: number,
    ): Promise<{ calls: Syscalls; fd: number; begin: string; length: number }> {
      container.cgroup.limit({ memory: SMALL });
      const calls = container.syscalls(testScope());
      const fd = await calls.open("/proc/meminfo");
      const begin = await calls.read(fd, size);
      const { length } = await calls.file("/proc/meminfo");
      container.cgroup.limit({ memory: BIG });
      return { calls, fd, begin, length };
    }

    /** MemTotal, at the begin, and DirectMap, at the end, tell of one machine. */
    function totalAtEnd(text: string): number {
      const maps = [...text.matchAll(/^DirectMap.*?: +(\d+) kB$/gm)];
      return maps.reduce((sum, match) => sum + Number(match[1]), 0);
    }

    it("goes on with what it began, whatever has changed", async () => {
      const { calls, fd, begin, length } = await halfRead(100);
      expect(memTotalKb(await calls.file("/proc/meminfo"))).toBe(BIG / 1024);
      const text = begin + (await calls.rest(fd, 10));
      expect(text.length).toBe(length);
      expect(memTotalKb(text)).toBe(SMALL / 1024);
      expect(totalAtEnd(text)).toBe(SMALL / 1024);
      checkMeminfo(text);
    });

    it("shows what is new when read from the beginning again", async () => {
      const { calls, fd, begin } = await halfRead(40);
      expect(begin).toContain(`${SMALL / 1024} kB`);
      await calls.seek(fd, 0);
      expect(memTotalKb(await calls.rest(fd, 1000))).toBe(BIG / 1024);
      container.cgroup.limit({ memory: SMALL });
      expect(memTotalKb(await calls.pread(fd, 65536, 0))).toBe(SMALL / 1024);
    });

    it("pread elsewhere than at 0 goes on with the same, in any order", async () => {
      const { calls, fd, begin, length } = await halfRead(100);
      const parts = [];
      for (let offset = length - (length % 100); offset > 0; offset -= 100) {
        parts.unshift(await calls.pread(fd, 100, offset));
      }
      const text = begin + parts.join("");
      expect(memTotalKb(text)).toBe(SMALL / 1024);
      expect(totalAtEnd(text)).toBe(SMALL / 1024);
      expect(await calls.pread(fd, 100, length)).toBe("");
      expect(await calls.pread(fd, 100, length + 10_000)).toBe("");
    });

    const cpuLines = (text: string) => text.match(/^cpu\d/gm)?.length;

    /** `/proc/stat`, opened and its size asked for while the container has this quota. */
    async function openedWith(quota: number | null) {
      testScope().defer(() => container.cgroup.limit({ quota: null }));
      container.cgroup.limit({ quota });
      const calls = container.syscalls(testScope());
      const fd = await calls.open("/proc/stat");
      const { size } = await calls.fstat(fd);
      return { calls, fd, size };
    }

    it.each([
      { before: 1, after: null, shown: 1, what: "keeps to a size that it was told" },
      { before: null, after: 1, shown: 1, what: "shows what is new where that fits" },
    ])("read late $what", async ({ before, after, shown }) => {
      const { calls, fd, size } = await openedWith(before);
      const opened = Date.now();
      container.cgroup.limit({ quota: after });
      // A snapshot younger than a second is shown in any case.
      await until("it is old", () => Date.now() - opened > 1100);
      const text = await calls.rest(fd, 100_000);
      expect(cpuLines(text)).toBe(shown);
      expect(text.length).toBeLessThanOrEqual(size);
      expect(text.endsWith("\n")).toBe(true);
      await calls.seek(fd, 0);
      expect(cpuLines(await calls.rest(fd, 100_000))).toBe(after ?? cpus().length);
    });

    it("read late shows what is new to one that asks for the size again", async () => {
      const { calls, fd } = await openedWith(1);
      container.cgroup.limit({ quota: null });
      await pause(1100);
      // As Python does it: when it opens, and when it reads.
      const { size } = await calls.fstat(fd);
      const text = await calls.rest(fd, 100_000);
      expect(cpuLines(text)).toBe(cpus().length);
      expect(text.length).toBe(size);
    });

    it("goes on with what it began, wherever, when it asks for the size again", async () => {
      const { calls, fd, size } = await openedWith(1);
      const half = Math.floor(size / 2);
      const end = await calls.pread(fd, 100_000, half);
      container.cgroup.limit({ quota: null });
      await pause(1100);
      expect((await calls.fstat(fd)).size).toBe(size);
      expect(await calls.pread(fd, 100_000, half)).toBe(end);
    });

    it("tells of its own end, whoever has opened the file since", async () => {
      const { calls, fd, size } = await openedWith(1);
      // One that nobody has read is made anew after a second.
      await calls.pread(fd, 1, 1);
      container.cgroup.limit({ quota: null });
      const later = await calls.open("/proc/stat");
      for (const whence of [SEEK_END, SEEK_HOLE]) {
        expect((await calls.must("lseek", fd, 0, whence)).result).toBe(size);
      }
      await calls.seek(fd, 0);
      expect((await calls.rest(fd, 100_000)).length).toBe(size);
      expect((await calls.must("lseek", later, 0, SEEK_END)).result).toBeGreaterThan(size);
    });

    it("is shown what is new each time, also once that is longer than it was told", async () => {
      const { calls, fd } = await openedWith(1);
      const readAgain = async () => {
        await calls.seek(fd, 0);
        return calls.rest(fd, 100_000);
      };
      container.cgroup.limit({ quota: null });
      await until("it is longer", async () => cpuLines(await readAgain()) === cpus().length);
      const texts = [];
      for (let i = 0; i < 4; i += 1) {
        await pause(250);
        texts.push(await readAgain());
      }
      expect(new Set(texts).size).toBe(texts.length);
    });

    it.each(["/proc/stat", "/proc/cpuinfo"])(
      "%s is whole for sendfile after somebody has truncated it",
      async (file) => {
        const { calls } = await openedWith(1);
        const whole = await calls.file(file);
        const { O_WRONLY, O_TRUNC } = constants;
        await calls.close(await calls.open(file, O_WRONLY | O_TRUNC));
        const fd = await calls.open(file);
        const sent = `${(await calls.must("sendfile", fd, 65536, -1)).data}`;
        expect(shape(sent)).toBe(shape(whole));
      },
    );

    it("is told the size of what grew since it was asked, before sendfile", async () => {
      const { calls, fd } = await openedWith(1);
      const sent = async (file: number): Promise<string> => {
        let text = "";
        for (let more = "."; more !== ""; text += more) {
          more = `${(await calls.must("sendfile", file, 65536, -1)).data}`;
        }
        return text;
      };
      container.cgroup.limit({ quota: null });
      await until("it is longer", async () => {
        return cpuLines(await calls.pread(fd, 100_000, 0)) === cpus().length;
      });
      // As far as the size that was asked for; what it grew by is no news to the kernel.
      await sent(fd);
      const text = await sent(await calls.open("/proc/stat"));
      expect({ lines: cpuLines(text), end: text.at(-1) }).toEqual({
        lines: cpus().length,
        end: "\n",
      });
    });

    /** What is left of an open file for a system call. */
    async function drained(calls: Syscalls, way: string, fd: number): Promise<string> {
      let text = "";
      for (let more = "."; more !== ""; text += more) {
        more = `${(await calls.must(way, fd, 1000, -1)).data}`;
      }
      return text;
    }

    const WAYS = ["read", "sendfile"];

    it.each(
      WAYS.flatMap((first) =>
        WAYS.flatMap((second) => [true, false].map((less) => [first, second, less] as const)),
      ),
    )(
      "of a file that changes with limits only, too: %s, another one by %s, to less: %s",
      async (way, other, less) => {
        const [before, after] = less ? [null, 1] : [1, null];
        const cpuinfo = "/proc/cpuinfo";
        testScope().defer(() => container.cgroup.limit({ quota: null }));
        container.cgroup.limit({ quota: before });
        const calls = container.syscalls(testScope());
        const idsOf = (quota: number | null) => [...Array(quota ?? cpus().length).keys()];
        const text = await until("the kernel has it", async () => {
          const now = await calls.file(cpuinfo);
          return cpuinfoIds(now).length === (before ?? cpus().length) && now;
        });
        const steady = (one: string): string => one.replaceAll(/^cpu MHz.*$/gm, "");
        const fd = await calls.open(cpuinfo);
        const begin = await calls.read(fd, 100);
        container.cgroup.limit({ quota: after });
        // Readers with sendfile(2) share what the kernel has cached, as long as somebody is in the
        // middle of it.
        const another = await calls.open(cpuinfo);
        const seen = await drained(calls, other, another);
        expect(cpuinfoIds(seen)).toEqual(idsOf(other === "read" ? after : before));
        expect(seen.endsWith("\n\n")).toBe(true);
        const whole = begin + (await drained(calls, way, fd));
        expect(steady(whole)).toBe(steady(text));
        // Held open over a change, such a file stays what it was: docs/design/consistency.md.
        expect(steady(await calls.pread(fd, 65536, 0))).toBe(steady(text));
        await calls.close(fd);
        expect(cpuinfoIds(await calls.file(cpuinfo))).toEqual(idsOf(after));
      },
    );

    it("one byte a time is never a mixture", async () => {
      const { calls, fd, begin, length } = await halfRead(1);
      let text = begin;
      for (let index = 1; index < length; index += 1) {
        if (index % 200 === 0) {
          container.cgroup.limit({ memory: index % 400 === 0 ? SMALL : BIG });
        }
        text += await calls.read(fd, 1);
      }
      expect(await calls.read(fd, 1)).toBe("");
      expect(memTotalKb(text)).toBe(SMALL / 1024);
      expect(totalAtEnd(text)).toBe(SMALL / 1024);
    });

    it("shares its place and its content with its copies", async () => {
      const { calls, fd, begin } = await halfRead(100);
      const copy = (await calls.must("dup", fd)).result;
      let text = begin;
      for (let more = "."; more !== ""; text += more) {
        more = (await calls.read(copy, 7)) + (await calls.read(fd, 11));
      }
      expect(memTotalKb(text)).toBe(SMALL / 1024);
      expect(totalAtEnd(text)).toBe(SMALL / 1024);
      await calls.close(fd);
      await calls.seek(copy, 0);
      expect(memTotalKb(await calls.rest(copy))).toBe(BIG / 1024);
    });

    it("can be shared by several programs", async () => {
      const text = await container.shell(
        "exec 3</proc/meminfo; head -c 30 <&3; dd bs=50 count=2 status=none <&3; cat <&3",
      );
      // head and cat take more than they print only from what can seek: so it all fits together.
      expect(shape(text)).toBe(shape(await container.read("/proc/meminfo")));
    });

    it("seeks as the kernel's files do", async () => {
      const { calls, fd } = await halfRead(1);
      const real = await container.syscalls(testScope()).open("/proc/version");
      expect(real).toBeGreaterThan(0);
      expect((await calls.must("lseek", fd, 10, 0)).result).toBe(10);
      expect((await calls.must("lseek", fd, 5, 1)).result).toBe(15);
      expect(await calls.call("lseek", fd, -1, 0)).toMatchObject({ error: "EINVAL" });
      await calls.seek(fd, 1_000_000);
      expect(await calls.read(fd, 10)).toBe("");
    });

    it("sendfile and splice stand for read", async () => {
      for (const words of [
        ["sendfile", 65536, -1],
        ["splice", 65536],
      ]) {
        const [word = "", ...rest] = words;
        const calls = container.syscalls(testScope());
        for (const [limit, kilobytes] of [
          [SMALL, SMALL / 1024],
          [BIG, BIG / 1024],
        ] as const) {
          container.cgroup.limit({ memory: limit });
          const fd = await calls.open("/proc/meminfo");
          let text = "";
          for (let more = "."; more !== ""; text += more) {
            more = `${(await calls.must(word, fd, ...rest)).data}`;
          }
          await calls.close(fd);
          const { length } = await calls.file("/proc/meminfo");
          expect({ word, length: text.length }).toEqual({ word, length });
          expect(memTotalKb(text)).toBe(kilobytes);
        }
      }
    });
  });

  describe("two threads on one descriptor", () => {
    it("each get a whole snapshot", async () => {
      const argv = [program("threads"), "whole", "4", "100", "/proc/stat"];
      const { stdout } = await container.run(argv);
      const rounds = readRounds(stdout);
      expect(rounds).toHaveLength(400);
      for (const text of rounds) {
        checkStat(text);
        expect(text.endsWith("\n")).toBe(true);
      }
    });

    it("share its content between them, each byte once", async () => {
      const sorted = (text: string): string =>
        [...text.replaceAll(/[\d ]/g, "")].sort().join("").trim();
      const argv = [program("threads"), "stream", "3", "5", "/proc/meminfo"];
      const rounds = readRounds((await container.run(argv)).stdout);
      const whole = await container.read("/proc/meminfo");
      expect(rounds).toHaveLength(5);
      for (const text of rounds) {
        expect(text).toHaveLength(whole.length);
        expect(sorted(text)).toBe(sorted(whole));
      }
    });
  });

  describe("every program", () => {
    const programs: readonly (readonly [string, string])[] = [
      ["cat", 'cat "$1"'],
      ["busybox cat", 'busybox cat "$1"'],
      ["tail", 'tail -n 1000 "$1"'],
      ["tail of bytes", 'tail -c 100000 "$1"'],
      ["busybox tail", 'busybox tail -n 1000 "$1"'],
      ["head -c", 'head -c 100000 "$1"'],
      ["busybox head -c", 'busybox head -c 100000 "$1"'],
      ["cp", 'cp "$1" "$2" && cat "$2"'],
      ["busybox cp", 'busybox cp "$1" "$2" && cat "$2"'],
      ["dd", 'dd if="$1" of="$2" bs=77 status=none && cat "$2"'],
      ["busybox dd", 'busybox dd if="$1" bs=100 2>/dev/null'],
      ["rsync", 'rsync --inplace "$1" "$2" && cat "$2"'],
      ["while read", 'while IFS= read -r line; do printf "%s\\n" "$line"; done <"$1"'],
      [
        "busybox while read",
        'busybox sh -c \'while IFS= read -r l; do echo "$l"; done <"$0"\' "$1"',
      ],
      ["awk", "awk '{ print }' \"$1\""],
      ["sed", 'sed "" "$1"'],
      // Of a file without lines, such as diskstats before the first I/O, it says 1: nothing found.
      ["grep", 'grep "" "$1" || [ $? = 1 ]'],
      [
        "python",
        '/usr/bin/python3 -c "import sys; print(open(sys.argv[1]).read(), end=str())" "$1"',
      ],
      ["mmap", '"$3" mmap 1 "$1" | sed 1d'],
      ["sendfile", '"$3" sendfile 1 "$1" | sed 1d'],
      ["splice", '"$3" splice 1 "$1" | sed 1d'],
    ];

    it.each(programs)("%s sees whole files", async (_, script) => {
      const copy = `/tmp/${container.cgroup.name}.copy`;
      testScope().defer(() => container.run(["rm", "-f", copy]));
      // A file may grow by a line meanwhile.
      let moved = VIEWS;
      await until("all files have kept their shape", async () => {
        const files = moved.map((view) => `/${view}`);
        const text = await container.shell(LOOK_AT_ALL, copy, program("drain"), script, ...files);
        const shapes = text.split("\0").map(shape);
        moved = moved.filter((view, index) => {
          const [before, first, second, after] = shapes.slice(index * 4);
          if (before !== after) {
            return true;
          }
          expect({ view, texts: [first, second] }).toEqual({ view, texts: [before, before] });
          return false;
        });
        return moved.length === 0;
      });
    });

    it("wc counts what cat prints", async () => {
      const script =
        'for file; do cat "$file"; printf "\\0"; wc -c <"$file"; wc -l "$file"; busybox wc "$file"; printf "\\0"; cat "$file"; printf "\\0"; done';
      const linesOf = (text: string): number => text.split("\n").length - 1;
      // Somebody may give the host swap meanwhile, which is a line of swaps.
      let moved: readonly string[] = VIEWS;
      await until("all files were counted while they kept their lines", async () => {
        const files = moved.map((view) => `/${view}`);
        const printed = (await container.shell(script, ...files)).split("\0");
        moved = moved.filter((view, index) => {
          const [text = "", told = "", after = ""] = printed.slice(index * 3);
          const lines = linesOf(text);
          if (linesOf(after) !== lines) {
            return true;
          }
          const counts = told.match(/\d+/g) ?? [];
          // Figures of a busy moment may have grown by a digit.
          const [bytes = 0, wcLines, busyboxLines] = counts.map(Number);
          expect(Math.abs(bytes - text.length)).toBeLessThan(12);
          expect({ view, wcLines, busyboxLines }).toEqual({
            view,
            wcLines: lines,
            busyboxLines: lines,
          });
          return false;
        });
        return moved.length === 0;
      });
    });

    it("tail -n 1 shows the last line", async () => {
      for (const tail of ["tail", "busybox tail"]) {
        const last = await container.shell(`${tail} -n 1 /proc/meminfo`);
        expect(last).toBe(`${(await container.read("/proc/meminfo")).split("\n").at(-2)}\n`);
      }
    });
  });
});
