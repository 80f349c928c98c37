// A keeper that follows another is started without Node where nothing has changed, since readers wait.

import {
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { MIB } from "../support/cgroups.js";
import { bindsOf, Container } from "../support/container.js";
import { temporaryDirectory } from "../support/daemon.js";
import { Managed } from "../support/managed.js";
import { describeLive } from "../support/needs.js";
import { project } from "../support/project.js";
import type { Scope } from "../support/scope.js";
import { inLong } from "../support/size.js";
import { testScope } from "../support/test-scope.js";
import { Storm } from "./never-down-support.js";

const ROUNDS = inLong(2, 20);
const keeper = join(project, "build/Release/vprocfs-keeper");

/** A service that notes in a file how often Node was asked how to start the keeper. */
async function launched(scope: Scope, more: readonly string[] = []) {
  const directory = temporaryDirectory(scope, "launch");
  const config = join(directory, "vprocfs.toml");
  const starts = join(directory, "starts");
  writeFileSync(config, "patience-ms = 11000\n");
  writeFileSync(starts, "");
  const counted = ["sh", "-c", `echo >>'${starts}'; exec "$0" "$@"`];
  const launcher = [keeper, "--launch", "1", "--", ...counted];
  const managed = await Managed.start(scope, ["--config", config, ...more], { launcher });
  const killed = async () => {
    const before = await managed.serving();
    process.kill(before.keeperPid, "SIGKILL");
    return managed.serving(before.keeperPid);
  };
  return { managed, config, killed, starts: () => readFileSync(starts, "utf8").length };
}

/** What a keeper has written down for the next one, as a file. */
function recordOf(pid: number): string {
  const directory = `/proc/${pid}/fd`;
  const found = readdirSync(directory)
    .map((name) => join(directory, name))
    .find((path) => readlinkSync(path).includes("memfd:vprocfs-launch"));
  if (found === undefined) {
    throw new Error("the keeper has no such memory");
  }
  return found;
}

/** LaunchRecord.proven */
const PROVEN_AT = 4;

describeLive("a keeper that follows another", ["g++", "python3"], () => {
  it("needs no Node when it was killed or restarted, and no read is lost", async () => {
    const scope = testScope();
    const { managed, starts, killed } = await launched(scope);
    const container = await Container.start(scope, { memory: 64 * MIB, binds: bindsOf(managed) });
    const storm = await Storm.start(scope, container, "", 4);
    for (let i = 0; i < ROUNDS; i += 1) {
      await pause(300);
      await killed();
      const before = await managed.serving();
      managed.tell("restart");
      await managed.serving(before.keeperPid);
    }
    const result = await storm.end();
    expect(result).toMatchObject({ failures: {}, inFlight: {}, hung: 0 });
    expect(starts()).toBe(1);
    expect(await managed.serving()).toMatchObject({ patienceMs: 11_000 });
  });

  it("goes by a changed configuration", async () => {
    const { config, starts, killed } = await launched(testScope());
    writeFileSync(config, "patience-ms = 12000\n");
    expect(await killed()).toMatchObject({ patienceMs: 12_000 });
    expect(starts()).toBe(2);
    await killed();
    expect(starts()).toBe(2);
    // As a package manager leaves a file that it has replaced by the same.
    utimesSync(config, 1, 1);
    await killed();
    expect(starts()).toBe(3);
  });

  it("serves although the configuration of metrics has become wrong", async () => {
    const scope = testScope();
    const web = join(temporaryDirectory(scope, "web"), "web.yml");
    writeFileSync(web, "{}");
    const more = ["--metrics", `unix:${web}.sock`, "--metrics-web-config", web];
    const { managed, config, starts, killed } = await launched(scope, more);
    writeFileSync(config, "patience-ms = 12000\n");
    rmSync(web);
    expect(await killed()).toMatchObject({ patienceMs: 12_000 });
    expect(starts()).toBe(2);
    expect(managed.logs).toContain("cannot serve metrics");
  });

  it("asks Node when the last one that did not has never served", async () => {
    const { managed, starts, killed } = await launched(testScope());
    const { keeperPid } = await managed.serving();
    const record = recordOf(keeperPid);
    const content = readFileSync(record);
    expect(content.readUInt32LE(PROVEN_AT)).toBe(1);
    content.writeUInt32LE(0, PROVEN_AT);
    writeFileSync(record, content, { flag: "r+" });
    await killed();
    expect(starts()).toBe(2);
    await killed();
    expect(starts()).toBe(2);
  });
});
