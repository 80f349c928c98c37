import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { pluginLine, uniqueLabels, worst } from "../../src/tools/nagios.js";
import { run } from "../support/command.js";
import { testName } from "../support/names.js";
import { partOf, project } from "../support/project.js";

describe("pluginLine", () => {
  it("is one line with performance data", () => {
    const values = [
      { label: "containers", value: 2, unit: "" },
      { label: "web1 memory", value: 45.12345, unit: "%", warning: 90, critical: 95, max: 100 },
      { label: "web1 oom kills", value: 3, unit: "c" },
    ];
    expect(pluginLine("ok", "2 containers", values)).toBe(
      "VPROCFS OK - 2 containers | 'containers'=2 'web1 memory'=45.123%;90;95;0;100 'web1 oom kills'=3c",
    );
    expect(pluginLine("unknown", "no such thing")).toBe("VPROCFS UNKNOWN - no such thing");
  });

  it("lets no name add a line, figures, or another label", () => {
    const values = [{ label: "a'b=c\nd|e", value: 1, unit: "" }];
    const line = pluginLine("warning", "web|1\nOK - x", values);
    expect(line).toBe("VPROCFS WARNING - web/1\\x0aOK - x | 'a''b_c\\x0ad|e'=1");
    expect(line.split("\n")).toHaveLength(1);
  });
});

describe("worst", () => {
  it("is what matters most", () => {
    expect(worst([])).toBe("ok");
    expect(worst(["ok", "warning"])).toBe("warning");
    expect(worst(["warning", "unknown"])).toBe("warning");
    expect(worst(["unknown", "ok"])).toBe("unknown");
    expect(worst(["unknown", "critical", "ok"])).toBe("critical");
  });
});

describe("a program that cannot run", () => {
  /** An installation without the module of the commands. */
  function damaged(): string {
    const home = mkdtempSync(join(tmpdir(), testName("damaged-")));
    onTestFinished(() => rmSync(home, { recursive: true }));
    cpSync(join(project, "package.json"), join(home, "package.json"));
    cpSync(join(project, "dist"), join(home, "dist"), { recursive: true });
    rmSync(join(home, partOf(home, "program")));
    return join(home, "dist/cli.js");
  }
  const OLD = "Object.defineProperty(process, 'versions', { value: { node: '18.19.0' } })";
  const old = ["--import", `data:text/javascript,${encodeURIComponent(OLD)}`];

  it.each([
    ["of an installation that is damaged", () => [damaged()], "cannot load its own modules: "],
    [
      "on an old Node",
      () => [...old, join(project, "dist/cli.js")],
      "needs Node.js 20.17 or later; ",
    ],
  ])("is unknown to a monitoring system: %s", async (_, start, why) => {
    const command = [process.execPath, ...start()];
    const checked = await run([...command, "check"]);
    expect(`${checked.stdout}`).toMatch(new RegExp(`^VPROCFS UNKNOWN - ${why}[^|\\n]*\n$`));
    expect(checked).toMatchObject({ status: 3, stderr: "" });
    const listed = await run([...command, "ls"]);
    expect(`${listed.stdout}`).toBe("");
    expect(listed).toMatchObject({ status: 1, stderr: expect.stringContaining(`: ${why}`) });
  });
});

describe("uniqueLabels", () => {
  it("tells containers of one name apart", () => {
    const [a, b, c] = [
      { name: "web", id: "1" },
      { name: "db", id: "2" },
      { name: "web", id: "3" },
    ];
    const none = () => false;
    expect(uniqueLabels([a, b, c], none)).toEqual(["web 1", "db", "web 3"]);
    expect(uniqueLabels([a, b, c], () => true)).toEqual(["web 1", "db", "web 3"]);
    expect(uniqueLabels([a], none)).toEqual(["web"]);
  });

  it("lets the only one that comes first keep its name", () => {
    const twins = [
      { name: "web", id: "1" },
      { name: "web", id: "2" },
    ];
    expect(uniqueLabels(twins, ({ id }) => id === "2")).toEqual(["web 1", "web"]);
  });
});
