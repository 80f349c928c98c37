// How figures of real containers are explained.

import { expect, it } from "vitest";
import { Cgroup, isV2, MIB } from "../support/cgroups.js";
import { Container } from "../support/container.js";
import { temporaryDirectory, vprocfs } from "../support/daemon.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { serveMetrics } from "../support/prometheus.js";
import { testScope } from "../support/test-scope.js";

describeLive("vprocfs explain", [], () => {
  it("names the ancestor that decided", async () => {
    const own = testScope();
    const { daemon } = await serveMetrics(own);
    const parent = Cgroup.create(own, testName("tenant"));
    parent.limit({ memory: 48 * MIB, quota: 0.5 });
    const cgroup = parent.child(own, testName("inner"));
    const container = await Container.start(own, { cgroup, memory: 64 * MIB });
    const id = await container.id(daemon);
    const explained = async (field: string) =>
      JSON.parse(
        `${(await vprocfs("explain", id, field, "--json", "--mountpoint", daemon.mountpoint)).stdout}`,
      );
    const total = await explained("memtotal");
    expect(total).toMatchObject({
      field: "MemTotal",
      decidedBy: parent.directory("memory"),
      result: `${48 * 1024} kB`,
    });
    // What others use of an ancestor's limit, this one cannot have.
    for (const field of ["MemFree", "MemAvailable"]) {
      const { sources, ...room } = await explained(field);
      expect(room).toMatchObject({ field, decidedBy: parent.directory("memory") });
      const means = sources.map((one: { means: string }) => one.means);
      expect(means).toContain("charged of an ancestor, bytes");
    }
    const values = total.sources.map(({ value }: { value: string }) => value);
    expect(values).toContain(`${64 * MIB}`);
    expect(values).toContain(`${48 * MIB}`);
    expect(await explained("cpus")).toMatchObject({
      decidedBy: parent.directory("cpu"),
      result: "0",
    });
    const inside = await container.read(daemon.path("proc/meminfo"));
    const shown = /^SwapTotal: +(\d+ kB)$/m.exec(inside)?.[1];
    expect((await explained("SwapTotal")).result).toBe(shown);
    for (const field of ["MemFree", "MemAvailable", "steal", "idle", "user", "uptime", "loadavg"]) {
      const { formula, sources, result } = await explained(field);
      expect(formula).not.toBe("");
      expect(sources.length).toBeGreaterThan(0);
      expect(result).toMatch(/\d/);
    }
  });

  it.skipIf(isV2)("names v1's limit of memory and swap together where it decides", async () => {
    const own = testScope();
    const container = await Container.start(own, { memory: 64 * MIB, swap: 0 });
    const place = ["--mountpoint", temporaryDirectory(own, "nowhere")];
    for (const field of ["MemFree", "MemAvailable"]) {
      const outcome = await vprocfs("explain", `${container.init}`, field, "--json", ...place);
      expect(outcome.status, outcome.stderr).toBe(0);
      const { sources, decidedBy } = JSON.parse(`${outcome.stdout}`);
      expect(sources).toContainEqual(
        expect.objectContaining({
          value: `${64 * MIB}`,
          means: "limit of memory and swap together, bytes",
        }),
      );
      expect(decidedBy).toBe(container.cgroup.directory("memory"));
    }
  });

  it("names no limit that is above what there is", async () => {
    const own = testScope();
    const { daemon } = await serveMetrics(own);
    const container = await Container.start(own, { memory: 2 ** 50, quota: 1000 });
    for (const field of ["MemTotal", "cpus"]) {
      const place = ["--mountpoint", daemon.mountpoint];
      const outcome = await vprocfs("explain", `${container.init}`, field, "--json", ...place);
      expect(outcome.status, outcome.stderr).toBe(0);
      expect(JSON.parse(`${outcome.stdout}`)).not.toHaveProperty("decidedBy");
    }
  });

  it("works without a daemon, and refuses what it does not know", async () => {
    const own = testScope();
    const nowhere = temporaryDirectory(own, "nowhere");
    const container = await Container.start(own, { memory: 64 * MIB });
    const explained = await vprocfs(
      "explain",
      `${container.init}`,
      "MemTotal",
      "--mountpoint",
      nowhere,
    );
    expect(`${explained.stdout}`).toContain(`result      ${64 * 1024} kB`);
    const unknown = await vprocfs("explain", `${container.init}`, "MemTotl");
    expect(unknown).toMatchObject({ status: 2 });
    expect(unknown.stderr).toContain("did you mean 'MemTotal'?");
  });
});
