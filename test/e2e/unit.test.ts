// The helper under the options of the units that are shipped. What a node with systemd shows is in
// test/node; here each option is set the way systemd sets it.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { polledMountpointOf } from "../../src/polled.js";
import { helperPath, mountsOf, PLACES, statesOf } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { outputOf, run } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { program } from "../support/programs.js";
import { project } from "../support/project.js";
import { fileScope, testScope } from "../support/test-scope.js";

type Command = readonly string[];

/** How each option of a unit that could forbid something is set without systemd. */
const SET: Readonly<Record<string, (value: string) => Command>> = {
  NoNewPrivileges: () => ["setpriv", "--no-new-privs"],
  SystemCallFilter: (value) => [
    program("filtered"),
    ...value
      .replace(/^~/, "")
      .split(" ")
      .flatMap((group) => ["--eperm", group]),
  ],
  RestrictSUIDSGID: () => [program("filtered"), "--no-openat2"],
  CapabilityBoundingSet: (value) => {
    const dropped = value.replace(/^~/, "").split(" ");
    return [
      "setpriv",
      `--bounding-set=${dropped.map((name) => `-${name.replace(/^CAP_/, "").toLowerCase()}`)}`,
    ];
  },
  // Of personality(2), realtime scheduling, other architectures and keyrings the helper has nothing.
  LockPersonality: () => [],
  RestrictRealtime: () => [],
  SystemCallArchitectures: () => [],
  SystemCallErrorNumber: () => [],
  KeyringMode: () => [],
};

/** What of a unit is not about what its processes may do. */
const HARMLESS =
  /^(Type|Notify|Exec|Restart|LimitNOFILE|Watchdog|Timeout|Kill|OOM|Tasks|RuntimeDirectory|FileDescriptorStore|Environment|Delegate|Memory)/;

function optionsOf(unit: string): [string, string][] {
  const text = readFileSync(join(project, "packaging", unit), "utf8");
  const service = /^\[Service\]\n(.*?)(?:^\[|$(?![\s\S]))/ms.exec(text)?.[1] ?? "";
  return [...service.matchAll(/^([A-Za-z]+)=(.*)$/gm)]
    .map(([, name = "", value = ""]): [string, string] => [name, value])
    .filter(([name]) => !HARMLESS.test(name));
}

const UNITS = ["systemd/vprocfs.service", "debian/vprocfs-lxcfs-compat/lxcfs.service"];

describeLive("the shipped units", ["setpriv"], () => {
  const scope = fileScope();
  let daemon: Daemon;
  beforeAll(async () => {
    daemon = await Daemon.start(scope);
  });

  async function attachUnder(command: Command): Promise<string[]> {
    const own = testScope();
    const container = await Container.start(own, { memory: 64 * MIB });
    const { mountpoint } = daemon;
    const places = ["--mountpoint", mountpoint, "--polled", polledMountpointOf(mountpoint)];
    const helper = [helperPath(), ...places, "--json"];
    const outcome = await run([...command, ...helper, `${container.init}`]);
    const states = statesOf(JSON.parse(outputOf(["vprocfs-attach"], outcome)));
    const mounted = mountsOf(container.init).filter((mount) => PLACES.includes(mount.mountpoint));
    expect(mounted).toHaveLength(PLACES.length);
    return states;
  }

  it.each(UNITS)("%s: the helper attaches under all its options together", async (unit) => {
    const command = optionsOf(unit).flatMap(([name, value]) => {
      const set = SET[name];
      if (set === undefined) {
        throw new Error(`${unit}: no test for ${name}=`);
      }
      return set(value);
    });
    expect(await attachUnder(command)).toEqual(["attached"]);
  });

  it("attaches where openat2(2) is refused", async () => {
    expect(await attachUnder(SET.RestrictSUIDSGID?.("yes") ?? [])).toEqual(["attached"]);
  });
});
