// A vprocfs that cannot be started again: readers of the mount that the service manager holds get an error.

import { cpSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { errnoOf } from "../../src/errors.js";
import { askFigures } from "../../src/figures.js";
import { readStatus } from "../../src/keeper-status.js";
import { temporaryDirectory } from "../support/daemon.js";
import { Managed } from "../support/managed.js";
import { describeLive } from "../support/needs.js";
import { partOf, project } from "../support/project.js";
import { freePort } from "../support/prometheus.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const KEEPER = "build/Release/vprocfs-keeper";
const ADDON = "build/Release/vprocfs.node";
const PROGRAM = partOf(project, "program");
/** kTries of native/keeper/launch.cc. */
const TRIES = 3;

/** An installation of its own, which may be damaged. */
function install(scope: Scope): string {
  const home = temporaryDirectory(scope, "installed");
  mkdirSync(join(home, "build/Release"), { recursive: true });
  for (const path of ["package.json", "dist", ADDON, KEEPER]) {
    cpSync(join(project, path), join(home, path), { recursive: true });
  }
  symlinkSync(join(project, "node_modules"), join(home, "node_modules"));
  return home;
}

/** What starts the `vprocfs run` of an installation in the place of ours. */
const startOf = (home: string): readonly string[] => [
  ...["sh", "-c", `shift; exec "$0" '${home}/dist/cli.js' "$@"`],
];

/** Damages what starts the next keeper, and has one be needed. */
async function killed(
  scope: Scope,
  launcher: readonly string[],
  damage: () => void,
  args: readonly string[] = [],
) {
  const managed = await Managed.start(scope, args, { launcher });
  const { device } = managed;
  const { keeperPid } = await managed.serving();
  damage();
  process.kill(keeperPid, "SIGKILL");
  await until("readers get an error", () =>
    readFile(join(managed.mountpoint, "proc/meminfo")).then(
      () => false,
      (error: unknown) => errnoOf(error) === "ENOMEM",
    ),
  );
  /** By itself after a while; sooner when the manager is told to start it again, as somebody does who has repaired it. */
  const expectRepaired = async (how: "by itself" | "restarted"): Promise<void> => {
    if (how === "restarted") {
      managed.tell("restart");
    }
    await managed.serving(keeperPid);
    expect(managed.device).toBe(device);
    const text = await readFile(join(managed.mountpoint, "proc/meminfo"), "utf8");
    expect(text).toMatch(/^MemTotal:/);
  };
  return { managed, expectRepaired };
}

describeLive("a vprocfs that cannot be started again", ["g++", "python3"], () => {
  it.each([
    // By itself it goes as for this one; below, as for what ends before it knows what is wrong.
    ["addon is gone", ADDON, undefined, "the native addon is not built", "by itself"],
    ["addon is damaged", ADDON, "none", "the native addon cannot be loaded", "restarted"],
    ["program is gone", PROGRAM, undefined, "cannot load its own modules: ", "restarted"],
    ["program is cut", PROGRAM, "import {", "cannot load its own modules: ", "restarted"],
  ] as const)("leaves readers an error when its %s", async (_, path, content, line, how) => {
    const scope = testScope();
    const home = install(scope);
    const file = join(home, path);
    const { managed, expectRepaired } = await killed(scope, startOf(home), () => {
      renameSync(file, `${file}.whole`);
      if (content !== undefined) {
        writeFileSync(file, content);
      }
    });
    expect(managed.logs).toContain(`vprocfs: ${line}`);
    renameSync(`${file}.whole`, file);
    await expectRepaired(how);
  });

  it("can be stopped meanwhile, which unmounts", async () => {
    const scope = testScope();
    const home = install(scope);
    const addon = join(home, ADDON);
    const { managed } = await killed(scope, startOf(home), () => rmSync(addon));
    managed.tell("stop");
    await managed.ended();
    expect(managed.isMounted).toBe(false);
  });

  it("leaves readers an error when its program ends each time", async () => {
    const scope = testScope();
    const home = install(scope);
    const program = join(home, "dist/cli.js");
    const launcher = [join(home, KEEPER), "--launch", "1", "--", ...startOf(home)];
    const { managed, expectRepaired } = await killed(scope, launcher, () => {
      renameSync(program, `${program}.whole`);
      writeFileSync(program, "import {");
    });
    expect(managed.logs.split("SyntaxError: ")).toHaveLength(1 + TRIES);
    renameSync(`${program}.whole`, program);
    await expectRepaired("by itself");
  });

  it("leaves readers an error when there is nothing to execute", async () => {
    const scope = testScope();
    const directory = temporaryDirectory(scope, "launch");
    const config = join(directory, "vprocfs.toml");
    const program = join(directory, "program");
    const make = () => writeFileSync(program, '#!/bin/sh\nexec "$@"\n', { mode: 0o755 });
    writeFileSync(config, "");
    make();
    const launcher = [join(project, KEEPER), "--launch", "1", "--", program];
    const damage = () => {
      // Else the next keeper begins without a start of Node.
      writeFileSync(config, "patience-ms = 12000\n");
      rmSync(program);
    };
    const { managed, expectRepaired } = await killed(scope, launcher, damage, ["--config", config]);
    expect(managed.logs).toContain(`${program}: No such file or directory`);
    make();
    await expectRepaired("restarted");
  });
});

describeLive("an upgrade that is only unpacked", ["python3"], () => {
  it("a standby of an earlier version serves without what another one has replaced, and says so", async () => {
    const scope = testScope();
    const home = install(scope);
    const metrics = ["--metrics", `127.0.0.1:${await freePort()}`];
    const managed = await Managed.start(scope, metrics, { launcher: startOf(home) });
    const { mountpoint } = managed;
    const { workerPid } = await until("a worker stands by", async () => {
      const status = await readStatus(mountpoint);
      return status.standby === "ready" && status;
    });
    const part = join(home, partOf(home, "start"));
    // As a package manager leaves it.
    renameSync(part, part.replace(/[0-9a-f]+\.js$/, "00000000.js"));
    process.kill(workerPid, "SIGKILL");
    const figures = await until("the standby serves", async () => {
      const answer = await askFigures(mountpoint);
      const knows = answer !== undefined && answer.metricsPending !== true;
      return knows && answer.pid !== workerPid && answer;
    });
    const why = "cannot load its own modules, which may be another version's by now: ";
    expect(figures.metricsProblem).toContain(why);
    await until("the log says it", () => managed.logs.includes(`"error":"${why}`));
    expect(await readFile(join(mountpoint, "proc/meminfo"), "utf8")).toMatch(/^MemTotal:/);
  });
});
