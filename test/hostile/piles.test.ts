// A container that piles mounts up on one point. For each line of its mount table the kernel walks through all
// mounts below that one, so that reading the table takes very long.

import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { defaultOf } from "../../src/config.js";
import { readMounts } from "../../src/mountinfo.js";
import type { ContainerInfo } from "../../src/native/binding.js";
import { freezerOf, setFrozen } from "../../src/sleep/freezer.js";
import { freezeContainers } from "../../src/sleep/prepare.js";
import { filesOf, PLACES } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { Container } from "../support/container.js";
import { temporaryDirectory, vprocfs } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { program } from "../support/programs.js";
import { figureOf, serveMetrics } from "../support/prometheus.js";
import { attackFrom } from "../support/pulse.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const PILED = "32768";
const VICTIM_MEMORY = 64 * MIB;
const WATCH = [
  "--no-keeper",
  "--watch",
  "on",
  "--attach-only",
  `*vprocfs-test-${process.pid}-*`,
  "--attach-exclude",
  "*without",
] as const;

/** How long the first pieces of a process's mount table take, ms. */
function piecesMs(pid: number, count: number): number {
  const begin = performance.now();
  const fd = openSync(`/proc/${pid}/mountinfo`, "r");
  const piece = Buffer.alloc(4096);
  for (let read = 0; read < count; read += 1) {
    expect(readSync(fd, piece)).toBeGreaterThan(0);
  }
  closeSync(fd);
  return performance.now() - begin;
}

async function json<T>(...argv: readonly string[]): Promise<T> {
  const outcome = await vprocfs(...argv, "--json");
  expect([0, 3, 4], outcome.stderr).toContain(outcome.status);
  return JSON.parse(`${outcome.stdout}`);
}

/** Freezes the container as before a suspend, and thaws it; returns who was frozen. */
async function frozenOf(scope: Scope, init: number): Promise<readonly string[]> {
  const all = await json<ContainerInfo[]>("ls");
  const containers = all.filter((one) => one.init === init);
  const prepared = await freezeContainers({
    containers,
    identity: { fsType: String(defaultOf("fsType")), source: String(defaultOf("source")) },
    serving: [],
    record: join(temporaryDirectory(scope, "record"), "frozen"),
  });
  for (const container of containers) {
    const freezer = freezerOf(container, readMounts(), []);
    if (freezer !== undefined) {
      setFrozen(freezer, false);
    }
  }
  return prepared.frozen;
}

describeLive("a container that piles up mounts on one point", ["busybox"], () => {
  it("holds up nobody who reads mount tables", async () => {
    const scope = testScope();
    const { daemon, address, scrape } = await serveMetrics(scope, ...WATCH);
    const hostile = await Container.start(scope, { name: "hostile", memory: 512 * MIB });
    const id = await hostile.id(daemon);
    await attackFrom(scope, hostile, [program("mounter"), "pile", PILED]);

    // The watcher attaches others, and sees what changes in them.
    const victim = await Container.start(scope, { name: "victim", memory: VICTIM_MEMORY });
    victim.start(scope, ["sleep", "1000000"]);
    const isWhole = (): boolean => {
      const files = new Set(filesOf(victim.init));
      return PLACES.every((place) => files.has(place));
    };
    await until("the victim has its files", isWhole);
    const victimId = await victim.id(daemon);
    await victim.shell("umount /proc/meminfo");
    await until("it has them again", isWhole);

    // Metrics have what is mounted in others, at the latest with the second survey.
    let text = "";
    await until("metrics have the victim's files", async () => {
      text = await scrape();
      return figureOf(text, "mounted_files", victimId) === filesOf(victim.init).length;
    });
    expect(figureOf(text, "memory_limit_bytes", id)).toBe(512 * MIB);
    expect(figureOf(text, "mounted_files", id)).toBeUndefined();

    // So have commands, which say of whom they do not know it.
    const place = ["--mountpoint", daemon.mountpoint, "--metrics", address];
    const findings = await json<{ id?: string; what: string }[]>("doctor", ...place);
    const whatOf = (one: string) => findings.filter((of) => of.id === one).map(({ what }) => what);
    expect(whatOf(id).join("\n")).toContain("takes too long");
    expect(whatOf(victimId).join("\n")).toMatch(/^sees what its cgroup says/m);

    // A suspend does not wait to see that one has no files.
    const without = await Container.start(scope, { name: "without", memory: 512 * MIB });
    const withoutId = await without.id(daemon);
    await attackFrom(scope, without, [program("mounter"), "pile", PILED]);
    expect(await frozenOf(scope, without.init)).toEqual([withoutId]);

    // Its own figures take less than a few pieces of what it has piled up. Its table is not read again for some
    // time, so that what was held up by other work of the machine is tried with another container.
    const share = (own: string, { init }: Container): number => {
      const begin = performance.now();
      const diskstats = readFileSync(daemon.path("containers", own, "proc/diskstats"), "utf8");
      const tookMs = performance.now() - begin;
      expect(diskstats).toMatch(/^ +\d+ +\d+ \S+ /);
      return tookMs / piecesMs(init, 32);
    };
    expect(Math.min(share(id, hostile), share(withoutId, without))).toBeLessThan(1);
  });
});
