// Attaching leaves everything else as it was: masks, mounts, what can be unmounted and what can be
// mounted in user namespaces.

import { existsSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { polledMountpointOf } from "../../src/polled.js";
import { DEEDS, MASKED, mountedIn, seen } from "../support/as-before.js";
import { filesOf, installedHooks, mountsOf, PLACES, report, statesOf } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { haveProgram, run } from "../support/command.js";
import { Daemon, vprocfs } from "../support/daemon.js";
import { LxcContainer } from "../support/lxc.js";
import { describeLive } from "../support/needs.js";
import { OciContainer, type OciVariant } from "../support/oci.js";
import type { Scope } from "../support/scope.js";
import { inLong } from "../support/size.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const LIMITS = { memory: 96 * MIB, swap: 0, quota: 1 };
const MASKS: readonly string[] = MASKED.filter((path) => existsSync(path));
const MINE = ["--watch", "on", "--attach-only", `*vprocfs-test-${process.pid}-*`];
const BELOW = "sys/devices/system/cpu/cpu0/topology";

type Started = { readonly init: number };
type Start = (own: Scope, daemon: Daemon, more?: OciVariant) => Promise<Started>;

const lxc =
  (userBase?: number): Start =>
  (own) =>
    LxcContainer.start(own, {
      ...LIMITS,
      ...(userBase !== undefined && { userBase }),
      hostUsr: true,
      lines: [`lxc.mount.entry = tmpfs ${BELOW} tmpfs ro 0 0`],
    });

const oci =
  (runtime: string, variant: OciVariant): Start =>
  (own, daemon, more = {}) =>
    OciContainer.start(own, runtime, daemon, LIMITS, { plain: true, ...variant, ...more });

/**
 * LXC's mounts are shared with their copies, and cannot be moved; below a cover that replaces another
 * they cannot be reached: what is below the cover comes before it in the kernel's list then, and
 * `umount -R` of a copy of all of /sys stumbles over it.
 */
const WITHOUT_COPIES = DEEDS.filter(([what]) => !what.includes("with all of"));

type Case = readonly [string, Start, number | undefined];
const OCI_CASES: readonly Case[] = ["runc", "crun"]
  .filter(haveProgram)
  .flatMap((runtime): readonly Case[] => [
    [`${runtime} with masks`, oci(runtime, { maskedPaths: MASKS }), undefined],
    [`${runtime} without any`, oci(runtime, {}), undefined],
    [`${runtime}, mapped`, oci(runtime, { userBase: 500_000, maskedPaths: MASKS }), 500_000],
  ]);
/** By the command, and not by hooks, it is the same helper in a container of either runtime. */
const COMMAND_CASES = inLong(
  OCI_CASES.filter(([name]) => name.endsWith("with masks") || name === "runc, mapped"),
  OCI_CASES,
);
const CASES: readonly Case[] = [
  ["LXC, privileged", lxc(), undefined],
  ["LXC, mapped", lxc(500_000), 500_000],
  ...COMMAND_CASES,
];

describeLive("as it was before", ["lxc-start", "unshare"], () => {
  const scope = fileScope();
  let daemon: Daemon;

  beforeAll(async () => {
    daemon = await Daemon.start(scope);
  });

  it.each(CASES)("%s: attached, attached again, detached", async (name, start, userBase) => {
    const own = testScope();
    const deeds = name.startsWith("LXC") ? WITHOUT_COPIES : DEEDS;
    const container = await start(own, daemon);
    const { init } = container;
    const mounts = mountsOf(init);
    const places = mountedIn(init);
    const before = await seen(init, places, userBase, deeds);
    for (let times = 0; times < 2; times += 1) {
      const done = await report(daemon, init);
      expect(done.files.filter(({ state }) => state === "failed")).toEqual([]);
      expect(await seen(init, places, userBase, deeds)).toEqual(before);
    }
    expect(filesOf(init)).toEqual(
      expect.arrayContaining(PLACES.filter((at) => at !== "/proc/interrupts")),
    );
    await report(daemon, init, ["--detach"]);
    expect(mountsOf(init)).toEqual(mounts);
    expect(await seen(init, places, userBase, deeds)).toEqual(before);
  });

  it("with a vprocfs that was killed, and started again", async () => {
    const own = testScope();
    const { init } = await oci("runc", { maskedPaths: MASKS })(own, daemon);
    const mounts = mountsOf(init);
    const places = mountedIn(init);
    const before = await seen(init, places, undefined, WITHOUT_COPIES);
    const first = await Daemon.start(own);
    await report(first, init);
    const { mountpoint } = first;
    first.kill();
    await until("it has ended", () => first.hasEnded);
    // Whoever comes by a dead cover has the kernel take off what stands below it.
    await seen(init, places, undefined, WITHOUT_COPIES);
    const next = await Daemon.startAt(own, mountpoint);
    const done = await report(next, init);
    expect(done.files.filter(({ state }) => state === "failed")).toEqual([]);
    expect(statesOf(done)).toEqual(["left", "replaced"]);
    expect(await seen(init, places, undefined, WITHOUT_COPIES)).toEqual(before);
    await report(next, init, ["--detach"]);
    expect(mountsOf(init)).toEqual(mounts);
  });

  it("a mask that the kernel or the container takes away comes back", async () => {
    const own = testScope();
    const { init } = await oci("runc", { maskedPaths: MASKS })(own, daemon);
    const places = mountedIn(init);
    const before = await seen(init, places);
    await report(daemon, init);
    const enter = ["nsenter", "-t", `${init}`, "-m", "--"];
    expect((await run([...enter, "umount", `/${BELOW}`])).status).toBe(0);
    expect(`${(await run([...enter, "ls", `/${BELOW}`])).stdout}`).toContain("core_id");
    // One that the container keeps taking away is left.
    await report(daemon, init, ["--leave", `/${BELOW}`]);
    expect(`${(await run([...enter, "ls", `/${BELOW}`])).stdout}`).toContain("core_id");
    await report(daemon, init);
    expect(await seen(init, places)).toEqual(before);
    await report(daemon, init, ["--detach"]);
  });

  describe("by hooks", () => {
    const hooksOf = (path: string): object => {
      const { hook } = JSON.parse(readFileSync(path, "utf8"));
      // Those of a daemon whose watcher is off say that there are to be no copies for user namespaces.
      const at = hook.args.indexOf("--settings");
      const polled = ["--polled", polledMountpointOf(daemon.mountpoint)];
      return { createRuntime: [{ ...hook, args: hook.args.toSpliced(at, 2, ...polled) }] };
    };

    /** Of two containers only what they have in common can be compared. */
    const comparable = (all: Record<string, string>): Record<string, string> =>
      Object.fromEntries(
        Object.entries(all).map(([what, text]) => [what, text.replace(/^\d+:\d+ /, "")]),
      );

    it.each(OCI_CASES)("%s", async (_, start, userBase) => {
      const own = testScope();
      const { oci: hook } = installedHooks(own, daemon.mountpoint);
      const twin = await start(own, daemon);
      const hooked = await start(own, daemon, { hooks: hooksOf(hook) });
      const places = mountedIn(twin.init);
      const before = comparable(await seen(twin.init, places, userBase));
      expect(filesOf(hooked.init).length).toBeGreaterThan(PLACES.length - 2);
      expect(comparable(await seen(hooked.init, places, userBase))).toEqual(before);
      await report(daemon, hooked.init, ["--detach"]);
      expect(filesOf(hooked.init)).toEqual([]);
      expect(comparable(await seen(hooked.init, places, userBase))).toEqual(before);
    });
  });

  describe("by the watcher", () => {
    const watched = fileScope();
    let own_: Daemon;

    beforeAll(async () => {
      own_ = await Daemon.start(watched, ...MINE);
    });

    it.each(OCI_CASES.slice(0, 2))("%s", async (_, start) => {
      const own = testScope();
      const { init } = await start(own, daemon);
      await until("it has its files", () => filesOf(init).length >= PLACES.length - 1);
      const places = mountedIn(init).filter((at) => MASKS.includes(at) && at.startsWith("/sys/"));
      const now = await seen(init, places);
      await vprocfs("detach", "--mountpoint", own_.mountpoint, `${init}`);
      expect(filesOf(init)).toEqual([]);
      expect(await seen(init, places)).toEqual(now);
    });
  });
});
