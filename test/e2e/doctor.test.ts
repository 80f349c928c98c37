// What doctor finds in real containers.

import { once } from "node:events";
import { rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { beforeAll, expect, it } from "vitest";
import { socketOf } from "../../src/keeper.js";
import { report } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { run } from "../support/command.js";
import { bindsOf, Container } from "../support/container.js";
import { cli, Daemon, temporaryDirectory, vprocfs } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { type Served, serveMetrics } from "../support/prometheus.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { statusOf, stopped } from "./never-down-support.js";

interface Finding {
  readonly level: string;
  readonly about: string;
  readonly id?: string;
  readonly what: string;
  readonly todo?: string;
}

async function findingsOf(daemon: Daemon, address: string, id: string): Promise<Finding[]> {
  const place = ["--mountpoint", daemon.mountpoint, "--metrics", address];
  const outcome = await vprocfs("doctor", id, "--json", ...place);
  expect([0, 3, 4], outcome.stderr).toContain(outcome.status);
  return JSON.parse(`${outcome.stdout}`);
}

async function killOne(container: Container): Promise<void> {
  await run(container.command(["tail", "/dev/zero"]));
}

describeLive("vprocfs doctor", [], () => {
  const scope = fileScope();
  /** For tests that leave it as it is, and ask for what concerns their own container. */
  let served: Served;

  beforeAll(async () => {
    served = await serveMetrics(scope);
  });

  it("finds a container well that has what it should have", async () => {
    const own = testScope();
    const { daemon, address } = served;
    const container = await Container.start(own, {
      memory: 64 * MIB,
      quota: 1,
      binds: bindsOf(daemon),
    });
    const findings = await findingsOf(daemon, address, await container.id(daemon));
    const about = findings.filter(({ id }) => id !== undefined);
    expect(about.filter(({ level }) => level !== "ok" && level !== "info")).toEqual([]);
    const texts = about.map(({ what }) => what);
    const seen = `MemTotal (kB) ${64 * 1024}, SwapTotal (kB) \\d+, number of CPUs 1`;
    expect(texts.join("\n")).toMatch(
      new RegExp(`^sees what its cgroup says: ${seen.replaceAll(/[()]/g, "\\$&")}$`, "m"),
    );
  });

  it("finds what is not mounted, mounted over, and killed", async () => {
    const own = testScope();
    const { daemon, address } = served;
    const bare = await Container.start(own, { name: "bare", memory: 16 * MIB, swap: 0 });
    const id = await bare.id(daemon);
    await killOne(bare);
    const found = await until("the kill is known", async () => {
      const findings = await findingsOf(daemon, address, id);
      return findings.some(({ what }) => what.includes("OOM kill")) && findings;
    });
    const warnings = found.filter(({ level }) => level === "warning");
    expect(warnings.map(({ what }) => what)).toContain(
      "no file of vprocfs is mounted: the container sees the node's figures",
    );
    expect(warnings.every(({ todo }) => todo !== undefined)).toBe(true);
    await vprocfs("detach", id, "--mountpoint", daemon.mountpoint);
    expect((await findingsOf(daemon, address, id)).map(({ what }) => what)).toContain(
      "no file of vprocfs is mounted, on purpose: it was detached, or its own configuration says so",
    );
    const covered = await Container.start(own, {
      name: "covered",
      memory: 64 * MIB,
      binds: [...bindsOf(daemon), ["/dev/null", "/proc/uptime"]],
    });
    const shadowed = await findingsOf(daemon, address, await covered.id(daemon));
    expect(shadowed.map(({ what }) => what)).toContain("something is mounted over /proc/uptime");
  });

  it.each([
    ["on", "containers have kernel logs of their own", "something else is mounted there"],
    ["off", 'containers have no kernel logs of their own: kernel-log is "off"', undefined],
  ])("says what of kernel logs it finds where they are %s", async (setting, says, reason) => {
    const own = testScope();
    const { daemon, address } = await serveMetrics(own, "--kernel-log", setting);
    const container = await Container.start(own, { memory: 64 * MIB });
    await container.shell("mount --bind /dev/null /dev/kmsg");
    const { files } = await report(daemon, container.init);
    expect(files.find(({ path }) => path === "/dev/kmsg")?.reason).toBe(reason);
    const found = await findingsOf(daemon, address, await container.id(daemon));
    const texts = found.map(({ what }) => what);
    expect(texts).toContain(says);
    const missing = texts.filter(
      (text) => text.includes("mounted there") || text.startsWith("not mounted"),
    );
    const alone = "left alone, because something else is mounted there: /dev/kmsg";
    expect(missing).toEqual(setting === "on" ? [alone] : []);
  });

  it("says what becomes of LXCFS's files by what serves, not by the configuration at hand", async () => {
    const own = testScope();
    await Daemon.start(own, "--source", "lxcfs");
    const told = async (setting: string): Promise<string[]> => {
      const { daemon, address } = await serveMetrics(own, "--replace-lxcfs", setting);
      const place = ["--mountpoint", daemon.mountpoint, "--metrics", address];
      const outcome = await vprocfs("doctor", "--json", ...place);
      const findings: Finding[] = JSON.parse(`${outcome.stdout}`);
      const about = findings.filter(({ what }) => what.startsWith("LXCFS is mounted"));
      return about.map(({ what }) => what.replace(/^.*: /, ""));
    };
    expect(await told("on")).toEqual(["vprocfs replaces its files in containers"]);
    expect(await told("off")).toEqual(["vprocfs leaves alone the containers that have its files"]);
  });

  it("finds mounts of a vprocfs that has ended", async () => {
    const own = testScope();
    const life = testScope();
    const first = await Daemon.start(life);
    const container = await Container.start(own, { memory: 64 * MIB, binds: bindsOf(first) });
    await life.close();
    const { daemon, address } = served;
    const findings = await findingsOf(daemon, address, `${container.init}`);
    const problem = findings.find(({ level }) => level === "problem");
    expect(problem?.what).toMatch(/^mounted from a vprocfs or LXCFS that has ended: /);
    const text = await vprocfs("doctor", "--mountpoint", daemon.mountpoint);
    expect(text.status).toBe(4);
    expect(`${text.stdout}`).toMatch(/^problem {2}/m);
    // The daemon says where, not the configuration of the command.
    expect(`${text.stdout}`).toContain(` serves, metrics on ${address}\n`);
  });

  it("takes files of a second vprocfs that lives for what they are", async () => {
    const own = testScope();
    const second = await Daemon.start(own);
    const container = await Container.start(own, { memory: 64 * MIB, binds: bindsOf(second) });
    const { daemon, address } = served;
    const findings = await findingsOf(daemon, address, `${container.init}`);
    expect(findings.filter(({ level }) => level === "problem")).toEqual([]);
    expect(findings.map(({ what }) => what)).toContainEqual(
      expect.stringMatching(/^mounted from another vprocfs: /),
    );
  });

  it("advises no start of one that runs and has been unmounted, and no attach before", async () => {
    const own = testScope();
    const { daemon, address } = await serveMetrics(own);
    const container = await Container.start(own, { memory: 64 * MIB, binds: bindsOf(daemon) });
    expect(await statusOf(daemon)).toMatchObject({ state: "serving", mounted: true });
    await run(["umount", "-l", daemon.mountpoint]);
    expect(await statusOf(daemon)).toMatchObject({ state: "serving", mounted: false });
    await until("it is said", () => daemon.logs.includes("is not mounted here any more"));
    const place = ["--mountpoint", daemon.mountpoint];
    const { stdout } = await vprocfs("status", ...place);
    expect(`${stdout}`).toMatch(/^state +serving, but not mounted here any more$/m);
    const findings = await findingsOf(daemon, address, `${container.init}`);
    const problems = findings.filter(({ level }) => level === "problem");
    expect(problems).toMatchObject([
      {
        what: `${daemon.mountpoint}: vprocfs runs, but somebody has unmounted it here`,
        todo: expect.stringMatching(/restart|start it again/),
      },
      { what: expect.stringContaining("has ended, or is not mounted on the host any more: ") },
    ]);
    expect(problems[1]).not.toHaveProperty("todo");
    const shown = await vprocfs("show", `${container.init}`, "meminfo", ...place);
    expect(shown.status).toBe(1);
    expect(shown.stderr).toContain("vprocfs runs, but somebody has unmounted it here: ");
    // With the last mount, which is the container's, it ends.
    await container.kill();
    expect(await daemon.end()).toBe(1);
  });

  it("advises to unmount what is mounted over it", async () => {
    const { daemon } = await serveMetrics(testScope());
    const place = ["--mountpoint", daemon.mountpoint];
    expect(await statusOf(daemon)).toMatchObject({ mounted: true, covered: false });
    await run(["mount", "-t", "tmpfs", "tmpfs", daemon.mountpoint]);
    const covered = await statusOf(daemon);
    const { stdout } = await vprocfs("status", ...place);
    const doctor = await vprocfs("doctor", "--json", ...place);
    await run(["umount", daemon.mountpoint]);
    expect(covered).toMatchObject({ state: "serving", mounted: false, covered: true });
    const over = `something is mounted over ${daemon.mountpoint}: unmount it`;
    await until("it is said", () => daemon.logs.includes(over));
    expect(daemon.logs).not.toContain("is not mounted here any more");
    expect(`${stdout}`).toMatch(/^state +serving, but something is mounted over it$/m);
    const findings: Finding[] = JSON.parse(`${doctor.stdout}`);
    expect(findings).toContainEqual(
      expect.objectContaining({ todo: expect.stringMatching(/^unmount it, /) }),
    );
    expect(await statusOf(daemon)).toMatchObject({ mounted: true, covered: false });
    const again = `${daemon.mountpoint} is where it was mounted again`;
    await until("that is said", () => daemon.logs.includes(again));
  });

  it("tells what is not mounted from what another mount namespace has", async () => {
    const { daemon } = served;
    const place = ["--mountpoint", daemon.mountpoint];
    const script = 'umount -l "$1" && shift && exec "$@"';
    const elsewhere = (...words: string[]) => {
      const inside = ["unshare", "--mount", "sh", "-c", script, "sh", daemon.mountpoint];
      return run([...inside, process.execPath, cli, ...words, ...place]);
    };
    const why = `${daemon.mountpoint}: vprocfs is mounted here, but not in the mount namespace of this command`;
    const todo = `nsenter --target ${daemon.pid} --mount vprocfs`;
    const shown = await elsewhere("show", `${process.pid}`, "meminfo");
    expect(shown).toMatchObject({ status: 1, stderr: expect.stringContaining(why) });
    expect(shown.stderr).toContain(todo);
    const { stdout } = await elsewhere("doctor", "--json");
    expect(JSON.parse(`${stdout}`)).toContainEqual(
      expect.objectContaining({ what: why, todo: expect.stringContaining(todo) }),
    );
    expect(`${stdout}`).not.toContain("is not mounted on the host any more");
    const checked = await elsewhere("check");
    expect([checked.status, `${checked.stdout}`]).toEqual([2, expect.stringContaining(why)]);
  });

  it("and other commands say that they see no containers from another PID namespace", async () => {
    const { daemon } = served;
    const elsewhere = (...words: string[]) => {
      const inside = ["unshare", "--pid", "--fork", "--mount-proc", process.execPath, cli];
      return run([...inside, ...words, "--mountpoint", daemon.mountpoint]);
    };
    const why = "vprocfs runs in another PID namespace than this command";
    const words = "show 1, explain 1 MemTotal, dmesg 1, attach --all, detach --all, sleep pre";
    for (const command of words.split(", ")) {
      const refused = { status: 1, stderr: expect.stringContaining(why) };
      expect(await elsewhere(...command.split(" ")), command).toMatchObject(refused);
    }
    const checked = await elsewhere("check");
    expect([checked.status, `${checked.stdout}`]).toEqual([3, expect.stringContaining(why)]);
    expect(await elsewhere("top")).toMatchObject({
      status: 0,
      stderr: expect.stringContaining(why),
    });
    const { stdout } = await elsewhere("doctor", "--json");
    expect(JSON.parse(`${stdout}`)).toContainEqual(
      expect.objectContaining({ level: "problem", what: expect.stringContaining(why) }),
    );
    expect(await elsewhere("status")).toMatchObject({ status: 0 });
  });

  it("says once that the mount or the keeper does not answer, and asks neither again", async () => {
    const own = testScope();
    const hanging = await serveMetrics(own);
    const unasked = await Container.start(own, {
      memory: 64 * MIB,
      binds: bindsOf(hanging.daemon),
    });
    const unkept = await serveMetrics(own);
    const container = await Container.start(own, { memory: 64 * MIB });
    for (const pid of hanging.daemon.processes) {
      own.defer(() => process.kill(pid, "SIGCONT"));
      await stopped(pid);
    }
    // In the place of the keeper, somebody who takes every question and answers none.
    const socket = socketOf(unkept.daemon.mountpoint);
    rmSync(socket);
    const asking: Socket[] = [];
    const silent = createServer({ allowHalfOpen: true }, (one) => asking.push(one));
    own.defer(() => {
      silent.close();
      asking.forEach((one) => {
        one.destroy();
      });
    });
    await once(silent.listen(socket), "listening");
    const began = performance.now();
    // Side by side, for each has seconds to wait.
    const [ofMount, ofKeeper] = await Promise.all([
      findingsOf(hanging.daemon, hanging.address, `${unasked.init}`),
      findingsOf(unkept.daemon, unkept.address, `${container.init}`),
    ]);
    // A minute is what others wait who ask.
    expect(performance.now() - began).toBeLessThan(50_000);
    expect(ofMount.filter(({ level }) => level === "problem")).toMatchObject([
      { about: "vprocfs", what: `${hanging.daemon.mountpoint}: the mount does not answer` },
    ]);
    expect(ofMount.filter(({ what }) => what.includes("inside"))).toEqual([]);
    expect(ofKeeper).toContainEqual(
      expect.objectContaining({
        level: "warning",
        what: expect.stringContaining(
          `${unkept.daemon.mountpoint}: its keeper has not answered within 8 s`,
        ),
        todo: expect.stringContaining("it may only be slow"),
      }),
    );
    expect(asking).toHaveLength(1);
  });

  it("says that nothing is mounted, and what to do", async () => {
    const nowhere = temporaryDirectory(testScope(), "nowhere");
    const outcome = await vprocfs("doctor", "--mountpoint", nowhere);
    expect(outcome.status).toBe(4);
    expect(`${outcome.stdout}`).toContain("nothing is mounted there");
    expect(`${outcome.stdout}`).toContain("vprocfs run");
  });
});
