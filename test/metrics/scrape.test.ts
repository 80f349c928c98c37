import { describe, expect, it } from "vitest";
import { formatFor } from "../../src/metrics/exposition.js";
import { Scrapes } from "../../src/metrics/scrape.js";
import type { Containers } from "../../src/metrics/survey.js";
import { haveProgram, runSync } from "../support/command.js";
import { containersOf, sourcesOf, surveyed } from "./sources.js";

async function textOf(
  containers: Containers,
  format: "text" | "openmetrics" = "text",
): Promise<string> {
  const counters = [
    { id: "1", requests: 9, refused: 1, openFiles: 2, heldBytes: 3, load: [1.5, 1, 0.5] },
  ];
  const scrapes = new Scrapes(sourcesOf(() => Promise.resolve(containers), counters));
  return (await scrapes.text(format)).toString();
}

describe("the text", () => {
  it("has every figure of a container with its labels", async () => {
    const text = await textOf(containersOf([surveyed("1", "web1")]));
    expect(text).toContain(
      'vprocfs_container_info{cgroup="/lxc/web1",id="1",name="web1",runtime="lxc"} 1\n',
    );
    expect(text).toContain(
      'vprocfs_container_memory_limit_bytes{id="1",name="web1",runtime="lxc"}',
    );
    expect(text).toMatch(/vprocfs_container_cpu_seconds_total\{mode="user",id="1",.*\} \d+\n/);
    expect(text).toContain(
      'vprocfs_container_requests_total{id="1",name="web1",runtime="lxc"} 9\n',
    );
    expect(text).toContain('vprocfs_container_load1{id="1",name="web1",runtime="lxc"} 1.5\n');
    expect(text).toContain('vprocfs_requests_total{file="proc/meminfo",result="ok"} 8\n');
    expect(text).toContain('vprocfs_worker_last_restart_info{reason="killed by signal 9"} 1\n');
    expect(text).toContain("vprocfs_worker_generation 3\n");
    expect(text).toMatch(/^nodejs_version_info\{/m);
    expect(text).not.toMatch(/Nan|undefined|\[object/);
  });

  it("tells which containers are to have the files", async () => {
    const text = await textOf(containersOf([surveyed("1", "web1"), surveyed("2", "excluded2")]));
    expect(text).toContain('vprocfs_container_wanted{id="1",name="web1",runtime="lxc"} 1\n');
    expect(text).toContain('vprocfs_container_wanted{id="2",name="excluded2",runtime="lxc"} 0\n');
    expect(text).toContain("vprocfs_wanted_unknown 0\n");
  });

  it("leaves out which containers are to have the files where that cannot be read", async () => {
    const sources = sourcesOf(() => Promise.resolve(containersOf([surveyed("1", "web1")])));
    const short = Object.assign(new Error("too many open files"), { code: "EMFILE" });
    const exclusionReason = () => {
      throw short;
    };
    const text = `${await new Scrapes({ ...sources, exclusionReason }).text("text")}`;
    expect(text).toContain('vprocfs_container_info{cgroup="/lxc/web1",id="1",name="web1"');
    expect(text).not.toMatch(/^vprocfs_container_wanted\{/m);
    expect(text).toContain("vprocfs_wanted_unknown 1\n");
  });

  it("has a histogram that adds up", async () => {
    const text = await textOf(containersOf([]));
    const open = (what: string): string | undefined =>
      text.match(new RegExp(`^vprocfs_request_duration_seconds_${what} (\\S+)$`, "m"))?.[1];
    expect(open('bucket\\{operation="open",le="0.000002"\\}')).toBe("3");
    expect(open('bucket\\{operation="open",le="0.000004"\\}')).toBe("7");
    expect(open('bucket\\{operation="open",le="\\+Inf"\\}')).toBe("7");
    expect(open('count\\{operation="open"\\}')).toBe("7");
    expect(open('bucket\\{operation="read",le="8.388608"\\}')).toBe("0");
    expect(open('count\\{operation="read"\\}')).toBe("5");
  });

  it("leaves out what is not told, and containers that are gone", async () => {
    const bare = { ...surveyed("1"), figures: new Map([["cpus", 2]]) };
    const text = await textOf(containersOf([bare]));
    expect(text).toMatch(/^vprocfs_container_cpus\{/m);
    expect(text).not.toMatch(/^vprocfs_container_memory_limit_bytes\{/m);
    expect(await textOf(containersOf([]))).not.toMatch(/^vprocfs_container_\w+\{/m);
  });

  it("escapes names", async () => {
    const names = ['quo"te', "new\nline", "back\\slash", "größe-日本-\u{1f427}", 'all"\\\n"'];
    const containers = names.map((name, index) => surveyed(`${index}`, name));
    const text = await textOf(containersOf(containers));
    expect(text).toContain('name="quo\\"te"');
    expect(text).toContain('name="new\\nline"');
    expect(text).toContain('name="back\\\\slash"');
    expect(text).toContain('name="größe-日本-\u{1f427}"');
    expect(text).toContain('name="all\\"\\\\\\n\\""');
    for (const line of text.split("\n")) {
      expect(line).toMatch(/^(#.*|\w+(\{.*\})? \S+|)$/);
    }
  });

  it.runIf(haveProgram("promtool"))("passes promtool check metrics", async () => {
    const text = await textOf(containersOf([surveyed("1"), surveyed("2", 'a"b\nc\\')]));
    const checked = runSync(["promtool", "check", "metrics"], { input: text });
    expect(checked.stderr + checked.stdout).toBe("");
    expect(checked.status).toBe(0);
  });

  it("is as OpenMetrics wants it when asked for that", async () => {
    const text = await textOf(containersOf([surveyed("1")]), "openmetrics");
    expect(text.endsWith("\n# EOF\n")).toBe(true);
    expect(text).toContain("# TYPE vprocfs_requests counter\n");
    expect(text).toContain('vprocfs_requests_total{file="proc/meminfo",result="ok"} 8\n');
    expect(text).toContain("# TYPE process_cpu_user_seconds counter\n");
    expect(text).not.toContain("_total_total");
  });

  it("is the same in one format whatever was asked for before in the other", async () => {
    const scrapes = new Scrapes(sourcesOf(() => Promise.resolve(containersOf([surveyed("1")]))));
    const names = (text: Buffer): string[] =>
      [...text.toString().matchAll(/^# TYPE (\S+)/gm)].map(([, name = ""]) => name);
    const first = names(await scrapes.text("text"));
    await scrapes.text("openmetrics");
    expect(names(await scrapes.text("text"))).toEqual(first);
  });
});

describe("scrapes", () => {
  it("at the same time share one collection; later ones have their own", async () => {
    let taken = 0;
    const scrapes = new Scrapes(
      sourcesOf(async () => {
        taken += 1;
        return containersOf([surveyed(`${taken}`)]);
      }),
    );
    const texts = await Promise.all([
      scrapes.text("text"),
      scrapes.text("openmetrics"),
      scrapes.text("text"),
    ]);
    expect(taken).toBe(1);
    expect(texts[0]).toBe(texts[2]);
    expect((await scrapes.text("text")).toString()).toContain('id="2"');
    expect(taken).toBe(2);
  });

  it("tell of themselves when containers' figures or the keeper are not to be had", async () => {
    const sources = sourcesOf(() => Promise.reject(new Error("no survey")));
    const scrapes = new Scrapes({ ...sources, keeper: () => Promise.reject(new Error("none")) });
    const text = (await scrapes.text("text")).toString();
    expect(text).toContain("vprocfs_late_surveys_total 1\n");
    expect(text).toContain("vprocfs_renders_total 3\n");
    expect(text).not.toMatch(/^vprocfs_worker_generation /m);
  });
});

describe("formatFor", () => {
  it.each([
    [undefined, "text"],
    ["", "text"],
    ["*/*", "text"],
    ["text/plain", "text"],
    ["application/json", "text"],
    ["application/openmetrics-text", "openmetrics"],
    [
      "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
      "openmetrics",
    ],
    ["text/plain;q=0.9, application/openmetrics-text;q=0.1", "text"],
    ["application/openmetrics-text;q=nonsense", "text"],
  ])("%j asks for %s", (accept, format) => {
    expect(formatFor(accept)).toBe(format);
  });
});
