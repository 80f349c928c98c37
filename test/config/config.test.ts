import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CONFIG_KEYS, kebabOf, notesOf, variableOf } from "../../src/config.js";
import { type ConfigInputs, loadConfig } from "../../src/config-load.js";
import { VprocfsError } from "../../src/errors.js";
import { output } from "../support/command.js";
import { testName } from "../support/names.js";

let directory: string;
let file: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), testName("config-")));
  file = join(directory, "vprocfs.toml");
});

afterAll(() => rmSync(directory, { recursive: true }));

function load(inputs: ConfigInputs & { toml?: string } = {}) {
  const { toml, ...rest } = inputs;
  if (toml !== undefined) {
    writeFileSync(file, toml);
  }
  return loadConfig({
    env: {},
    defaultFile: "/nonexistent/vprocfs.toml",
    ...(toml === undefined ? {} : { file }),
    ...rest,
  });
}

function failure(inputs: Parameters<typeof load>[0]): string {
  try {
    load(inputs);
  } catch (error) {
    expect(error).toBeInstanceOf(VprocfsError);
    const { message, exitStatus } = error as VprocfsError;
    expect(exitStatus).toBe(2);
    expect(message).not.toContain("\n");
    return message.replaceAll(file, "FILE");
  }
  throw new Error("the configuration was accepted");
}

describe("defaults and precedence", () => {
  it("has the defaults that its documentation names, for every key", () => {
    const docs = readFileSync(
      new URL("../../docs/reference/configuration.md", import.meta.url),
      "utf8",
    );
    const config = load();
    for (const key of CONFIG_KEYS) {
      const row = docs.split("\n").find((line) => line.startsWith(`| \`${kebabOf(key)}\` |`));
      expect(row, `a row for ${kebabOf(key)}`).toBeDefined();
      const shown = config[key] === "" ? '""' : config[key];
      expect(row).toContain(`| \`${variableOf(key)}\` | \`${shown}\` |`);
    }
  });

  it("takes flags over environment over file over defaults", () => {
    const toml = "max-threads = 3\ntick-ms = 30\nlog-level = 'warn'\n";
    const env = { VPROCFS_MAX_THREADS: "4", VPROCFS_TICK_MS: "40" };
    const config = load({ toml, env, flags: { maxThreads: "5" } });
    expect(config).toMatchObject({
      maxThreads: 5,
      tickMs: 40,
      logLevel: "warn",
      source: "vprocfs",
    });
  });

  it("reads the file named by VPROCFS_CONFIG, and --config before it", () => {
    writeFileSync(file, "source = 'mine'");
    expect(load({ env: { VPROCFS_CONFIG: file } }).source).toBe("mine");
    expect(failure({ env: { VPROCFS_CONFIG: file }, file: "/nonexistent/x.toml" })).toBe(
      "/nonexistent/x.toml: no such file",
    );
  });

  it("does without the default file but not without a named one", () => {
    expect(() => load()).not.toThrow();
    expect(failure({ file: join(directory, "none") })).toBe(`${directory}/none: no such file`);
  });

  it("says in a word what is no file, and waits for no pipe that somebody has named", async () => {
    const [pipe, loop] = [join(directory, "pipe"), join(directory, "loop")];
    await output(["mkfifo", pipe]);
    symlinkSync(loop, loop);
    expect(failure({ file: directory })).toBe(`${directory}: is a directory`);
    expect(failure({ file: loop })).toBe(`${loop}: too many symbolic links`);
    expect(failure({ file: pipe })).toBe(`${pipe}: is a named pipe`);
  });

  it.each(CONFIG_KEYS)("documents %s and reaches it from everywhere", (key) => {
    const { description, expects } = notesOf(key);
    expect(description).not.toBe("");
    expect(expects).not.toBe("");
    // A value that no key accepts, to see that it is this key which refuses it.
    const bad = "\t";
    const found = `expected ${expects}, found '\\x09'`;
    expect(failure({ flags: { [key]: bad } })).toBe(`option --${kebabOf(key)}: ${found}`);
    expect(failure({ env: { [variableOf(key)]: bad } })).toBe(
      `environment: ${variableOf(key)}: ${found}`,
    );
    expect(failure({ toml: `${kebabOf(key)} = "\\t"` })).toBe(`FILE: ${kebabOf(key)}: ${found}`);
  });
});

describe("errors", () => {
  it("suggests the key that was meant", () => {
    expect(failure({ toml: "mountpiont = '/x'" })).toBe(
      "FILE: unknown key 'mountpiont', did you mean 'mountpoint'?",
    );
    expect(failure({ env: { VPROCFS_MOUNTPIONT: "/x" } })).toBe(
      "environment: unknown key 'VPROCFS_MOUNTPIONT', did you mean 'VPROCFS_MOUNTPOINT'?",
    );
    expect(failure({ toml: "maxThreads = 4" })).toContain("did you mean 'max-threads'?");
    expect(failure({ toml: "[daemon]\nx = 1" })).toBe("FILE: unknown key 'daemon'");
  });

  it.each([
    ["nested = 'ignore'", { nested: "off" }, "FILE: nested: 'ignore' is now called 'off'"],
    ["nested = 'follow'", { nested: "on" }, "FILE: nested: 'follow' is now called 'on'"],
    [
      "replace-lxcfs = 'yes'",
      { replaceLxcfs: "on" },
      "FILE: replace-lxcfs: 'yes' is now called 'on'",
    ],
    [
      "replace-lxcfs = 'no'",
      { replaceLxcfs: "off" },
      "FILE: replace-lxcfs: 'no' is now called 'off'",
    ],
    ["affinity = 'shown'", { affinity: "on" }, "FILE: affinity: 'shown' is now called 'on'"],
    ["affinity = 'kernel'", { affinity: "off" }, "FILE: affinity: 'kernel' is now called 'off'"],
  ])("takes the words of an earlier version, and says so: %s", (toml, values, warning) => {
    const warnings: string[] = [];
    const warn = (line: string) => warnings.push(line.replaceAll(file, "FILE"));
    expect(load({ toml, warn })).toMatchObject(values);
    expect(warnings).toEqual([warning]);
  });

  it("says nothing of a former word that something else overrides", () => {
    const warnings: string[] = [];
    const warn = (line: string) => warnings.push(line);
    load({ toml: "nested = 'ignore'", flags: { nested: "on" }, warn });
    expect(warnings).toEqual([]);
  });

  it("has one vocabulary for yes and no", () => {
    const words = CONFIG_KEYS.map((key) => notesOf(key).placeholder.split("|"));
    const yesAndNo = words.filter((some) =>
      some.some((word) => /^(on|off|yes|no|true|false|enable|disable)$/i.test(word)),
    );
    for (const some of yesAndNo) {
      expect(["auto", "on", "off"]).toEqual(expect.arrayContaining(some));
    }
  });

  it("leaves variables of others alone", () => {
    expect(() => load({ env: { VPROCFSX: "1", VPROCFS_TEST_X: "1", PATH: "/" } })).not.toThrow();
    // What the scripts in packaging/ read.
    const scripts = { VPROCFS_RUNTIME: "crun", VPROCFS_ATTACH: "/x", VPROCFS_HOOK: "x" };
    expect(() => load({ env: scripts })).not.toThrow();
    expect(failure({ env: { VPROCFS_RUNTIMES: "crun" } })).toMatch(/: unknown key/);
  });

  it.each([
    ["max-threads = 'many'", "max-threads: expected an integer from 2 to 256, found 'many'"],
    ["max-threads = '4'", "max-threads: expected an integer from 2 to 256, found '4'"],
    ["max-threads = 1", "max-threads: expected an integer from 2 to 256, found 1"],
    ["max-threads = 2.5", "max-threads: expected an integer from 2 to 256, found 2.5"],
    ["max-threads = nan", "max-threads: expected an integer from 2 to 256, found NaN"],
    ["tick-ms = [1]", "tick-ms: expected an integer from 1 to 1000, found an array"],
    ["source = true", "source: expected 1 to 64 letters, digits or . : / @ + - _, found true"],
    ["source = 'a b'", "source: expected 1 to 64 letters, digits or . : / @ + - _, found 'a b'"],
    ["fs-type = 'ext4'", "fs-type: expected 'fuse' or 'fuse.' and a name, found 'ext4'"],
    ["mountpoint = 'here'", "mountpoint: expected an absolute path, found 'here'"],
    ["[mountpoint]\nx = 1", "mountpoint: expected an absolute path, found a table"],
    ["log-level = 'loud'", "log-level: expected one of error, warn, info, debug, found 'loud'"],
    ["log-level = 2001-01-01", "log-level: expected one of error, warn, info, debug, found a date"],
  ])("names file, key and expectation: %s", (toml, message) => {
    expect(failure({ toml })).toBe(`FILE: ${message}`);
  });

  it("says where a file is not TOML", () => {
    expect(failure({ toml: "source = 'a'\ntick-ms = = 3\n" })).toMatch(/^FILE:2:\d+: \S/);
  });

  it.each(["", " 4", "4 ", "0x10", "1e2", "-3", "99999999999999999999"])(
    "takes %j for no number",
    (text) => {
      expect(failure({ flags: { maxThreads: text } })).toContain("expected an integer");
    },
  );

  it("never throws anything but one line about the configuration", () => {
    const names = fc.oneof(fc.constantFrom(...CONFIG_KEYS.map(kebabOf)), fc.string());
    const values = fc.oneof(fc.string(), fc.double(), fc.boolean(), fc.array(fc.integer()));
    fc.assert(
      fc.property(names, values, (name, value) => {
        const toml = `${JSON.stringify(name)} = ${JSON.stringify(value) ?? "nan"}\n`;
        try {
          load({ toml });
        } catch (error) {
          expect(error).toBeInstanceOf(VprocfsError);
          expect((error as VprocfsError).message).not.toMatch(/\p{Cc}/u);
        }
      }),
    );
  });
});
