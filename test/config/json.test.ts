// docs/reference/json.md has every field that commands print with --json, and no other.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { HelperReport } from "../../src/attach/helper.js";
import type { HookOutcome } from "../../src/attach/hooks.js";
import type { DaemonFigures } from "../../src/figures.js";
import type { Status } from "../../src/keeper-status.js";
import { loadAddon } from "../../src/native/addon.js";
import type {
  CgroupPlace,
  ContainerInfo,
  NativeBinding,
  SurveyedContainer,
} from "../../src/native/binding.js";
import { main } from "../../src/program.js";
import type { Prepared } from "../../src/sleep/prepare.js";
import type { Explanation } from "../../src/tools/explain/explain.js";
import type { SourceValue } from "../../src/tools/explain/parts.js";
import type { Finding } from "../../src/tools/findings.js";
import type { Activity } from "../../src/tools/rates.js";
import { collecting, container, fakeBinding, type Outcome } from "../support/fake-binding.js";
import { project } from "../support/project.js";

/** The keys of a type: the compiler complains of one that is missing, and of one that the type does not have. */
type Keys<T> = Readonly<Record<keyof T & string, true>>;

const PLACE: Keys<CgroupPlace> = { mount: true, path: true, v2: true };
const CONTAINER: Keys<ContainerInfo> = {
  id: true,
  tenant: true,
  name: true,
  runtime: true,
  cgroup: true,
  init: true,
  cgroups: true,
  memoryLimit: true,
  swapLimit: true,
  cpus: true,
  cpuQuota: true,
};
const SURVEYED: Keys<SurveyedContainer> = {
  id: true,
  tenant: true,
  name: true,
  runtime: true,
  cgroup: true,
  init: true,
  lastVictim: true,
};
const ACTIVITY: Keys<Omit<Activity, "container">> = {
  givenName: true,
  cpu: true,
  throttled: true,
  memory: true,
  memoryUsed: true,
  memoryTotal: true,
  swapUsed: true,
  swapTotal: true,
  pressure: true,
  load: true,
  oomKills: true,
  oomAgo: true,
  requests: true,
  read: true,
  written: true,
};
const FINDING: Keys<Finding> = { level: true, about: true, id: true, what: true, todo: true };
const EXPLANATION: Keys<Explanation> = {
  field: true,
  file: true,
  formula: true,
  sources: true,
  decidedBy: true,
  result: true,
};
const SOURCE: Keys<SourceValue> = { path: true, key: true, value: true, means: true };
const STATUS: Keys<Status> = {
  state: true,
  keeperPid: true,
  workerPid: true,
  generation: true,
  uptimeMs: true,
  workerUptimeMs: true,
  restarts: true,
  failuresInARow: true,
  reasons: true,
  resent: true,
  requests: true,
  protocol: true,
  resend: true,
  statesIgnored: true,
  standby: true,
  descriptors: true,
  stored: true,
  descriptorsLost: true,
  undying: true,
  mounted: true,
  covered: true,
  polled: true,
  watchdogMs: true,
  patienceMs: true,
};
const RESOURCE: Keys<DaemonFigures["resources"][string]> = {
  used: true,
  limit: true,
  refused: true,
  short: true,
};
const REPORT: Keys<HelperReport> = {
  pid: true,
  id: true,
  files: true,
  problems: true,
  busy: true,
  cpuUs: true,
  isShort: true,
};
const FILE: Keys<HelperReport["files"][number]> = { path: true, state: true, reason: true };
const HOOK: Keys<HookOutcome> = {
  kind: true,
  path: true,
  state: true,
  content: true,
  reason: true,
};
const PREPARED: Keys<Prepared> = { frozen: true, late: true };

/** The fields of each table, by the heading above it and, if it is not the first one there, the field that it is of. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  ls: [...Object.keys(CONTAINER), "givenName"],
  "ls cgroups": Object.keys(PLACE),
  show: ["container", "files"],
  top: [...Object.keys({ ...SURVEYED, ...ACTIVITY }), "figures"],
  "top figures": loadAddon().Surveyor.figures,
  doctor: Object.keys(FINDING),
  explain: Object.keys(EXPLANATION),
  "explain sources": Object.keys(SOURCE),
  status: ["mountpoint", ...Object.keys(STATUS), "shared"],
  "status shared": Object.keys(RESOURCE),
  reload: ["mountpoint", "result"],
  "attach, detach": ["container", "reports"],
  "attach, detach reports": Object.keys(REPORT),
  "attach, detach files": Object.keys(FILE),
  "install-hooks, uninstall-hooks": Object.keys(HOOK),
  sleep: [...Object.keys(PREPARED), "thawed"],
  dmesg: ["sequence", "seconds", "level", "facility", "text"],
};

/** The fields that the page has, in the form of FIELDS. */
function documented(): Map<string, string[]> {
  const page = readFileSync(join(project, "docs/reference/json.md"), "utf8");
  const found = new Map<string, string[]>();
  for (const section of page.split(/^## /m).slice(1)) {
    const command = section.slice(0, section.indexOf("\n"));
    for (const table of section.split("| field | meaning |").slice(1)) {
      const before = section.slice(0, section.indexOf(table));
      const of = [...before.matchAll(/^(?:Each|Those) of `(\w+)`/gm)].at(-1)?.[1];
      const rows = [...table.matchAll(/^\| ([^|]*) \|/gm)].map(([, names = ""]) => names);
      const names = rows.flatMap((row) => [...row.matchAll(/`(\w+)`/g)].map(([, one = ""]) => one));
      found.set(of === undefined ? command : `${command} ${of}`, names);
    }
  }
  return found;
}

/** What a command prints, parsed. */
async function printed(argv: readonly string[], binding: NativeBinding) {
  const outcome: Outcome = { out: "", err: "", status: 0 };
  await main([...argv, "--json"], collecting(outcome, binding), (line) => {
    outcome.err += line;
  });
  expect(outcome.out, outcome.err).not.toBe("");
  return JSON.parse(outcome.out);
}

const PLACES = { memory: { mount: "/nonexistent", path: "/web1", v2: true } };
const BINDING = fakeBinding([container({ cgroups: PLACES })]);

/** Takes surveys of one container that has 1 of everything. */
class Surveyor {
  static readonly figures = loadAddon().Surveyor.figures;
  readonly #of = { id: "1a2b", tenant: "1a2b", name: "web1", runtime: "lxc", cgroup: "/web1" };
  readInside = () => Promise.reject(new Error("nobody is asked"));
  take = () =>
    Promise.resolve({
      containers: [{ ...this.#of, init: 4711, lastVictim: "" }],
      figures: new Float64Array(Surveyor.figures.length).fill(1),
      tookSeconds: 0,
      failed: 0,
      leftOut: 0,
      readsLog: true,
      endedKills: 0,
    });
}

describe("docs/reference/json.md", () => {
  it("has the fields of the types that are printed", () => {
    const page = documented();
    expect([...page.keys()].sort()).toEqual(Object.keys(FIELDS).sort());
    for (const [table, fields] of Object.entries(FIELDS)) {
      expect([table, page.get(table)?.sort()]).toEqual([table, [...fields].sort()]);
    }
  });

  it("has each command with --json", async () => {
    const outcome: Outcome = { out: "", err: "", status: 0 };
    await main(["--help-all"], collecting(outcome, BINDING), () => {});
    const commands = outcome.out
      .split(/^Usage: vprocfs /m)
      .filter((text) => /^ +--json/m.test(text))
      .map((text) => /^[a-z-]+/.exec(text)?.[0] ?? "");
    const sections = Object.keys(FIELDS).flatMap((table) => table.replaceAll(",", "").split(" "));
    expect(commands.length).toBeGreaterThan(10);
    // Its --json is about the log, and an earlier spelling.
    expect(commands.filter((name) => name !== "run" && !sections.includes(name))).toEqual([]);
  });

  it("has what ls prints", async () => {
    const [one] = await printed(["ls"], BINDING);
    expect(Object.keys(one).sort()).toEqual(documented().get("ls")?.sort());
    expect(Object.keys(one.cgroups.memory).sort()).toEqual(documented().get("ls cgroups")?.sort());
  });

  it("has what top prints", async () => {
    const argv = ["top", "--interval", "0.001", "--mountpoint", "/nonexistent"];
    const [one] = await printed(argv, { ...BINDING, Surveyor });
    expect(Object.keys(one).sort()).toEqual(documented().get("top")?.sort());
    expect(Object.keys(one.figures).sort()).toEqual(documented().get("top figures")?.sort());
  });

  it("has what explain prints", async () => {
    const argv = ["explain", "web1", "MemTotal", "--mountpoint", "/nonexistent"];
    const Renderer = class {
      list = () => [];
      render = () => Buffer.from("MemTotal: 1 kB\n");
      look = () => null;
      close = () => {};
    };
    const found = await printed(argv, { ...BINDING, Renderer });
    const page = documented();
    // Without a limit none decides.
    expect(page.get("explain")).toEqual(expect.arrayContaining(Object.keys(found)));
    expect(Object.keys(found.sources[0]).sort()).toEqual(page.get("explain sources")?.sort());
  });

  it("has what install-hooks prints", async () => {
    const root = mkdtempSync(join(tmpdir(), "vprocfs-json-"));
    onTestFinished(() => rmSync(root, { recursive: true }));
    const found = await printed(["install-hooks", "--dry-run", "--root", root], BINDING);
    const page = documented().get("install-hooks, uninstall-hooks");
    expect(found.length).toBeGreaterThan(0);
    for (const one of found) {
      expect(page).toEqual(expect.arrayContaining(Object.keys(one)));
    }
  });
});
