// What no compiler sees: a view without its row is silently absent, and an include in the wrong
// direction only shows when the layers cannot be told apart any more.

import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const native = fileURLToPath(new URL("../../native", import.meta.url));

interface Row {
  index: number;
  path: string;
  mode: string;
  needs: string[];
  changes: string;
  render: string;
}

const viewPattern =
  /^VPROCFS_VIEW\(\s*(\d+),\s*"([^"]*)",\s*(\w+),\s*([\w\s|]+),\s*(\w+),\s*(\w+)\s*\)$/gm;
const hostPattern =
  /^VPROCFS_HOST_FILE\((\d+), (\w+), (\w+), \d+, [^"]+, "([^"]*)", (\w+), ([\w |]+), (\w+)\)$/gm;

function readText(...parts: string[]): string {
  return readFileSync(join(native, ...parts), "utf8");
}

function split(needs: string): string[] {
  return needs.split("|").map((need) => need.trim());
}

/** All views: rows of views.def, and those of host_files.def. */
function rows(): Row[] {
  const views = [...readText("view", "views.def").matchAll(viewPattern)].map((match) => {
    const [, index = "", path = "", mode = "", needs = "", changes = "", render = ""] = match;
    return { index: Number(index), path, mode, needs: split(needs), changes, render };
  });
  const hosts = [...readText("facts", "host_files.def").matchAll(hostPattern)].map((match) => {
    const [, index = "", name = "", need = "", path = "", mode = "", others = "", changes = ""] =
      match;
    return {
      index: Number(index),
      path: `proc/${path}`,
      mode,
      needs: [`kNeedHost${need}`, ...split(others)],
      changes,
      render: `render_${name}`,
    };
  });
  return [...views, ...hosts];
}

function sourceFiles(extension: RegExp): string[] {
  return readdirSync(native, { recursive: true, encoding: "utf8" })
    .filter((name) => extension.test(name))
    .sort();
}

/** The render functions that the file defines for the table (not those in an inner namespace). */
function definedViews(file: string): string[] {
  const definition = /^void (render_\w+)\(const Facts& \w+, Writer& \w+\) \{$/gm;
  return [...readText(file).matchAll(definition)].map(([, name = ""]) => name);
}

describe("views.def and host_files.def", () => {
  it("have only rows that this test understands", () => {
    const calls = [readText("view", "views.def"), readText("facts", "host_files.def")]
      .flatMap((text) => text.split("\n"))
      .filter((line) => line.startsWith("VPROCFS_"));
    expect(rows()).toHaveLength(calls.length);
    expect(calls.length).toBeGreaterThan(0);
  });

  it("give every view an index and a path of its own", () => {
    for (const key of ["index", "path"] as const) {
      const values = rows().map((row) => row[key]);
      expect(new Set(values).size, key).toBe(values.length);
    }
  });

  it.each(rows())("$path: index, mode and needs are valid", (row) => {
    expect(row.index).toBeGreaterThanOrEqual(1);
    expect(row.index).toBeLessThan(64);
    expect(row.path).toMatch(/^(proc|sys)\/[^/]/);
    expect(row.path).not.toMatch(/\/$|\/\//);
    expect(row.mode).toMatch(/^0[0-7]{3}$/);
    expect(["kAlways", "kWithLimits"]).toContain(row.changes);
    const named = readText("facts", "facts.h").matchAll(/^ {2}(kNeed\w+) = /gm);
    const hosts = readText("facts", "host_files.def").matchAll(/^VPROCFS_\w+\(\d+, \w+, (\w+),/gm);
    const cgroups = readText("facts", "cgroup_facts.def").matchAll(/^VPROCFS_\w+\(\w+, (\w+),/gm);
    const known = [
      ...[...named].map(([, name = ""]) => name),
      ...[...hosts].map(([, name = ""]) => `kNeedHost${name}`),
      ...[...cgroups].map(([, name = ""]) => `kNeed${name}`),
    ];
    expect(known).toEqual(expect.arrayContaining(row.needs));
  });

  it("have needs of one bit each", () => {
    const bits = [
      ...readText("facts", "facts.h").matchAll(/^ {2}kNeed\w+ = 1u << (\d+)/gm),
      ...readText("facts", "host_files.def").matchAll(/^VPROCFS_\w+\(\d+, \w+, \w+, (\d+)/gm),
      ...readText("facts", "cgroup_facts.def").matchAll(/^VPROCFS_\w+\(\w+, \w+, (\d+)/gm),
    ].map(([, bit]) => bit);
    expect(bits.length).toBeGreaterThan(20);
    expect(new Set(bits).size).toBe(bits.length);
  });

  it("list every render function there is", () => {
    const defined = sourceFiles(/^view\/.*\.cc$/).flatMap(definedViews);
    expect(defined.sort()).toEqual([...new Set(rows().map((row) => row.render))].sort());
  });
});

describe("controllers.def", () => {
  it("has the names that tools know", () => {
    const told = readText("source", "controllers.def").matchAll(
      /^VPROCFS_CONTROLLER\(\w+, "\w+", "\w*", "(\w+)"\)$/gm,
    );
    const binding = readFileSync(join(native, "../src/native/binding.ts"), "utf8");
    const [, names = ""] = /^(?:export )?type ControllerName =([^;]+);/m.exec(binding) ?? [];
    expect([...names.matchAll(/"(\w+)"/g)].map(([, name]) => name)).toEqual(
      [...told].map(([, name]) => name),
    );
  });
});

describe("the addon", () => {
  /** The names of an interface's members in session.ts. */
  function membersOf(name: string): string[] {
    const binding = readFileSync(join(native, "../src/native/session.ts"), "utf8");
    const [, body = ""] =
      new RegExp(`^(?:export )?interface ${name} \\{\n([^}]*)^\\}`, "m").exec(binding) ?? [];
    return [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, member = ""]) => member);
  }

  /** The names in a table of session_figures.cc. */
  function tableOf(name: string): string[] {
    const [, body = ""] =
      new RegExp(` ${name}\\[\\] = \\{([^;]*)\\};`).exec(readText("addon/session_figures.cc")) ??
      [];
    return [...body.matchAll(/\{"(\w+)",/g)].map(([, member = ""]) => member);
  }

  it("tells the counters that session.ts describes", () => {
    expect(tableOf("kCalls").length).toBeGreaterThan(5);
    expect(tableOf("kCalls")).toEqual(membersOf("CallCounters"));
    expect(tableOf("kSums").length).toBeGreaterThan(5);
    expect(membersOf("SessionCounters")).toEqual(expect.arrayContaining(tableOf("kSums")));
  });
});

/** What the files of a directory may include beside their own: directories, or single files. */
const mayInclude: Record<string, string[]> = {
  base: [],
  facts: [],
  // Of base only arithmetic and words, which are pure themselves, so that views stay pure.
  view: [
    "facts",
    "base/affix.h",
    "base/clock_tick.h",
    "base/shares.h",
    "base/wide.h",
    "base/words.h",
  ],
  bpf: ["base"],
  source: ["base", "bpf", "facts"],
  state: ["base"],
  // What an outermost container may take knows containers by their ids only.
  tenant: ["base", "source"],
  container: ["base", "facts", "source", "state", "tenant", "view"],
  node: ["base", "facts", "container", "source/container_id.h", "view"],
  // Kernel logs of containers: whose a line is, and what has been told of it.
  klog: ["base", "container", "source", "state", "tenant/identity.h", "watch"],
  survey: ["base", "facts", "container", "klog", "source", "tenant/identity.h", "view"],
  // The helper that mounts into containers asks the tree; it knows neither containers nor views.
  attach: ["base", "source"],
  // The keeper mounts and answers INIT before any worker lives; a worker knows what it is told.
  // What it leaves behind has to know by its number which call the kernel must not run, and what
  // LXC's monitors say.
  keeper: [
    ...["base", "fuse", "state"],
    ...["abi", "message", "pending_calls", "verdict"].map((name) => `seccomp/${name}.h`),
    // What is mounted at its places, and what its processes do.
    ...["mount_table", "process_stat", "read_file"].map((name) => `source/${name}.h`),
  ],
  // The agent of seccomp notifications answers from facts as views do; it knows no files.
  seccomp: ["base", "facts", "container", "klog", "source", "state", "tenant", "view"],
  // All that a worker is made of is put together here.
  engine: ["base", "container", "fuse", "klog", "node", "seccomp", "state", "tenant"],
  // What the kernel would ask of a caller stands in its status.
  fuse: [
    ...["base", "facts", "container", "klog", "node", "state", "view"],
    "source/process_status.h",
  ],
  watch: ["base", "source"],
  // Puts everything together for TypeScript.
  addon: [
    ...["base", "container", "engine", "facts", "fuse", "klog", "node", "source", "state"],
    ...["survey", "view", "watch"],
  ],
  // The addon of the tests looks at every part.
  testing: [
    ...[
      "base",
      "facts",
      "container",
      "tenant",
      "fuse",
      "klog",
      "node",
      "seccomp",
      "source",
      "state",
      "survey",
      "view",
    ],
    "addon/bind.h",
  ],
  // Without any library.
  hook: [],
  // The program that writes into callers' memory shares the agent's pending calls.
  writer: ["base", "seccomp", "source"],
};

/** Headers through which a view could get at a clock, a file, a lock, or errno. */
const impure =
  /^(unistd|fcntl|time|errno|pthread|sys\/.*|cerrno|ctime|cstdio|chrono|fstream|iostream|filesystem|mutex|shared_mutex|thread|atomic|condition_variable|random)(\.h)?$/;

function includesOf(file: string): { own: string[]; system: string[] } {
  const text = readText(file);
  const matches = (pattern: RegExp) => [...text.matchAll(pattern)].map(([, name = ""]) => name);
  return {
    own: matches(/^#include "([^"]+)"/gm),
    system: matches(/^#include <([^>]+)>/gm),
  };
}

describe("includes", () => {
  const files = sourceFiles(/\.(cc|h|def)$/).filter((file) => dirname(file) !== ".");

  it("finds the files", () => {
    expect(files.length).toBeGreaterThan(20);
  });

  it("knows every directory", () => {
    const directories = new Set(files.map((file) => file.split("/", 1)[0] ?? ""));
    expect([...directories].filter((name) => !(name in mayInclude))).toEqual([]);
  });

  it.each(files)("%s points the one way", (file) => {
    const directory = file.split("/", 1)[0] ?? "";
    const allowed = [directory, ...(mayInclude[directory] ?? [])];
    const { own } = includesOf(file);
    const wrong = own.filter(
      (name) => !allowed.includes(name) && !allowed.includes(dirname(name).split("/", 1)[0] ?? ""),
    );
    expect(wrong).toEqual([]);
  });

  const pure = files.filter(
    (file) => /^(view|facts)\//.test(file) || mayInclude.view?.includes(file),
  );

  it.each(pure)("%s is pure", (file) => {
    expect(includesOf(file).system.filter((name) => impure.test(name))).toEqual([]);
  });

  it.each(files.filter((file) => file.endsWith(".h")))("%s guards itself", (file) => {
    expect(readText(file).match(/^#pragma once$/gm), basename(file)).toHaveLength(1);
  });
});
