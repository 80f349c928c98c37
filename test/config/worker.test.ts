import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { servingFlags } from "../../src/serving-flags.js";
import { workerConfig } from "../../src/worker.js";
import { temporaryDirectory } from "../support/daemon.js";
import { testScope } from "../support/test-scope.js";

const context = { env: {}, configFile: "/nonexistent/vprocfs.toml" };

describe("earlier spellings of options", () => {
  it.each([
    [{ watch: false }, { watch: "off" }, "option --no-watch is now called '--watch off'"],
    [{ json: true }, { logFormat: "json" }, "option --json is now called '--log-format json'"],
  ])("work, with a warning: %o", (options, flags, warning) => {
    const warnings: string[] = [];
    expect(servingFlags(undefined, options, (line) => warnings.push(line))).toEqual(flags);
    expect(warnings).toEqual([warning]);
  });

  it("say nothing where something else overrides them, or nobody spells like that", () => {
    const warnings: string[] = [];
    const warn = (line: string) => warnings.push(line);
    servingFlags(undefined, { json: true, logFormat: "text" }, warn);
    servingFlags("/mnt", { logFormat: "json" }, warn);
    expect(warnings).toEqual([]);
  });
});

describe("the arguments of a worker", () => {
  it("are those of run", () => {
    const config = workerConfig(
      ["/mnt/x", "--max-threads", "4", "--tick-ms=20", "--no-watch", "--json", "--no-keeper"],
      context,
    );
    expect(config).toMatchObject({
      mountpoint: "/mnt/x",
      maxThreads: 4,
      tickMs: 20,
      watch: "off",
      logFormat: "json",
    });
  });

  it("may have values that begin with a dash, and the last one counts", () => {
    const argv = ["--attach-only", "-a*", "--log-level", "warn", "--log-level", "error"];
    expect(workerConfig(argv, context)).toMatchObject({ attachOnly: "-a*", logLevel: "error" });
  });

  it("say which form the log has before --json does", () => {
    const config = workerConfig(["--json", "--log-format", "text"], context);
    expect(config.logFormat).toBe("text");
  });

  it("name the file, over which they win", () => {
    const file = join(temporaryDirectory(testScope(), "worker"), "vprocfs.toml");
    writeFileSync(file, 'max-threads = 8\ntick-ms = 5\nmountpoint = "/mnt/file"\n');
    expect(workerConfig(["-c", file, "--tick-ms", "6"], context)).toMatchObject({
      mountpoint: "/mnt/file",
      maxThreads: 8,
      tickMs: 6,
    });
  });

  it("are refused when nobody knows them or their value", () => {
    expect(() => workerConfig(["--max-thread", "4"], context)).toThrow(/unknown option/);
    expect(() => workerConfig(["--max-threads", "x"], context)).toThrow(/--max-threads/);
    expect(() => workerConfig(["--max-threads"], context)).toThrow(/--max-threads/);
  });
});
