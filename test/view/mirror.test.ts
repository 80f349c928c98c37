// The directories of sysfs that every container has: what is shown of them, and what files say.

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { testName } from "../support/names.js";
import { value } from "../support/procfile.js";
import { project } from "../support/project.js";
import {
  listFixture,
  memoryFiguresOfFixture,
  numberPaths,
  renderFixture,
  scanTimes,
  treePaths,
} from "../support/testing.js";

const RECORDED = join(project, "test/fixtures/v2-x86-128cpu");
const OWN = "cgroup/kubepods.slice/kubepods-burstable.slice/pod7.slice/cri-7f.scope";
const CPU = "sys/devices/system/cpu";
const NODE = "sys/devices/system/node";
const PAGE_KB = 4;

type Files = Readonly<Record<string, string>>;

/** The recorded host of 128 CPUs whose container is shown 8 to 15, with other files in it. */
function caseWith(files: Files, links: Files = {}): string {
  const root = mkdtempSync(join(tmpdir(), testName("mirror-")));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  cpSync(RECORDED, root, { recursive: true });
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  for (const [path, target] of Object.entries(links)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    symlinkSync(target, join(root, path));
  }
  return root;
}

function rendered(path: string, text: string): string {
  return renderFixture(caseWith({ [path]: text }), path);
}

/** kB by label of a node's meminfo. */
function nodeMeminfo(text: string): Map<string, number> {
  const lines = [...text.matchAll(/^Node \d+ (.+?): +(\d+)( kB)?$/gm)];
  expect(lines).toHaveLength(text.trimEnd().split("\n").length);
  return new Map(lines.map(([, label = "", value]) => [label, Number(value)]));
}

function meminfo(text: string): Map<string, number> {
  const lines = [...text.matchAll(/^(.+?): +(\d+)/gm)];
  return new Map(lines.map(([, label = "", value]) => [label, Number(value)]));
}

describe("lists and maps of CPUs hold those that are shown", () => {
  const wide = "ffffffff,ffffffff,ffffffff,ffffffff\n";

  it.each([
    [`${CPU}/isolated`, "2-9,100\n", "8-9\n"],
    [`${CPU}/isolated`, "\n", "\n"],
    [`${CPU}/nohz_full`, "(null)\n", "(null)\n"],
    [`${CPU}/enabled`, "0-127\n", "8-15\n"],
    [`${CPU}/cpu9/topology/core_cpus_list`, "9,73\n", "9\n"],
    [`${CPU}/cpu9/topology/thread_siblings_list`, "8-9\n", "8-9\n"],
    [`${CPU}/cpu9/topology/package_cpus_list`, "0-63\n", "8-15\n"],
    [`${CPU}/cpu9/topology/package_cpus`, wide, "00000000,00000000,00000000,0000ff00\n"],
    [`${CPU}/cpu9/topology/core_siblings`, "3,00000200\n", "0,00000200\n"],
    [`${CPU}/cpu9/topology/core_id`, "4\n", "4\n"],
    [`${CPU}/cpu9/cache/index3/shared_cpu_map`, wide, "00000000,00000000,00000000,0000ff00\n"],
    [`${CPU}/cpu9/cache/index3/shared_cpu_list`, "0-9\n", "8-9\n"],
    [`${CPU}/cpu9/cache/index3/size`, "32768K\n", "32768K\n"],
    [`${CPU}/cpufreq/policy8/related_cpus`, "7 8 9 80 \n", "8 9\n"],
    [`${CPU}/vulnerabilities/l1tf`, "Not affected\n", "Not affected\n"],
    [`${NODE}/has_generic_initiator`, "1\n", "1\n"],
  ])("%s %j", (path, host, own) => {
    expect(rendered(path, host)).toBe(own);
  });
});

describe("names", () => {
  const files = Object.fromEntries([
    ...[0, 8, 15, 16, 127].map((cpu) => [`${CPU}/cpu${cpu}/uevent`, ""]),
    [`${CPU}/cpufreq/policy0/related_cpus`, "0 1\n"],
    [`${CPU}/cpufreq/policy7/related_cpus`, "7 8\n"],
    [`${CPU}/cpuidle/current_driver`, "none\n"],
    [`${NODE}/node0/memory0`, ""],
    [`${NODE}/node0/memory_failure/total`, "0\n"],
  ]);
  const links = {
    [`${NODE}/node0/cpu8`]: "../../cpu/cpu8",
    [`${NODE}/node0/cpu16`]: "../../cpu/cpu16",
    [`${CPU}/cpu8/node0`]: "../../node/node0",
  };

  it("are of the CPUs shown and those below them, and all that is not a CPU", () => {
    const dir = caseWith(files, links);
    const names = listFixture(dir, CPU);
    expect(names.filter((name) => /^cpu\d/.test(name)).sort()).toEqual(["cpu0", "cpu15", "cpu8"]);
    expect(names).toContain("cpuidle");
    expect(names).toContain("online");
    expect(listFixture(dir, `${CPU}/cpufreq`)).toEqual(["policy7"]);
    expect(listFixture(dir, `${CPU}/cpu8`).sort()).toEqual(["node0", "uevent"]);
  });

  it("of a node leave out memory blocks and CPUs not shown", () => {
    const names = listFixture(caseWith(files, links), `${NODE}/node0`);
    expect(names).toContain("cpu8");
    expect(names).toContain("memory_failure");
    expect(names).not.toContain("cpu16");
    expect(names).not.toContain("memory0");
  });

  it("of nodes are those with CPUs shown or memory that may be used", () => {
    const set = "cgroup/kubepods.slice/kubepods-burstable.slice/cpuset.mems.effective";
    const both = caseWith({});
    expect(listFixture(both, NODE).filter((name) => /^node\d/.test(name))).toHaveLength(2);
    const none = caseWith({ [set]: "0\n", [`${OWN}/cpuset.mems.effective`]: "0\n" });
    expect(listFixture(none, NODE).filter((name) => /^node\d/.test(name))).toEqual(["node0"]);
    expect(renderFixture(none, `${NODE}/online`)).toBe("0\n");
    // A promise about ids, as that of CPUs is.
    expect(renderFixture(none, `${NODE}/possible`)).toBe(renderFixture(both, `${NODE}/possible`));
    expect(renderFixture(none, `${NODE}/node0/distance`)).toBe("10\n");
  });
});

describe("a second directory", () => {
  const files = Object.fromEntries(
    [0, 8, 9, 15].flatMap((cpu) => [
      [`${CPU}/cpu${cpu}/online`, "1\n"],
      [`${CPU}/cpu${cpu}/uevent`, "DRIVER=processor\n"],
      [`${CPU}/cpu${cpu}/topology/core_id`, "4\n"],
      [`${CPU}/cpu${cpu}/cache/index0/size`, "32K\n"],
    ]),
  );
  const quota = { [`${OWN}/cpu.max`]: "100000 100000\n" };
  const cpuDirectories = (dir: string): string[] =>
    listFixture(dir, CPU)
      .filter((name) => /^cpu\d+$/.test(name))
      .sort();

  it("is bare where one would be left of several that threads run on", () => {
    const dir = caseWith({ ...files, ...quota }, { [`${CPU}/cpu9/subsystem`]: "../../../bus/cpu" });
    expect(renderFixture(dir, `${CPU}/online`)).toBe("8\n");
    expect(cpuDirectories(dir)).toEqual(["cpu0", "cpu8", "cpu9"]);
    expect(listFixture(dir, `${CPU}/cpu9`).sort()).toEqual(["online", "subsystem", "uevent"]);
    expect(renderFixture(dir, `${CPU}/cpu9/online`)).toBe("0\n");
    expect(renderFixture(dir, `${CPU}/cpu9/uevent`)).toBe("DRIVER=processor\n");
    for (const name of ["topology/core_id", "cache/index0/size", "topology"]) {
      expect(() => renderFixture(dir, `${CPU}/cpu9/${name}`)).toThrow();
    }
    expect(() => renderFixture(dir, `${CPU}/cpu15/online`)).toThrow();
    expect(renderFixture(dir, `${CPU}/cpu8/online`)).toBe("1\n");
    expect(renderFixture(dir, `${CPU}/cpu8/topology/core_id`)).toBe("4\n");
  });

  it("is bare below the highest CPU that is shown, and above it nowhere else", () => {
    const one = caseWith({
      ...files,
      ...quota,
      "cgroup/kubepods.slice/kubepods-burstable.slice/cpuset.cpus.effective": "8\n",
      [`${OWN}/cpuset.cpus.effective`]: "8\n",
    });
    expect(cpuDirectories(one)).toEqual(["cpu0", "cpu8"]);
    expect(renderFixture(one, `${CPU}/cpu0/online`)).toBe("0\n");
    expect(() => renderFixture(one, `${CPU}/cpu0/topology/core_id`)).toThrow();
    const two = caseWith({ ...files, [`${OWN}/cpu.max`]: "200000 100000\n" });
    expect(cpuDirectories(two)).toEqual(["cpu0", "cpu8", "cpu9"]);
    expect(renderFixture(two, `${CPU}/cpu9/topology/core_id`)).toBe("4\n");
  });

  it("tells that it is offline also of a CPU that cannot go offline", () => {
    // As that of CPU 0 on x86.
    const { [`${CPU}/cpu0/online`]: _, ...rest } = files;
    const dir = caseWith({ ...rest, ...quota });
    expect(renderFixture(dir, `${CPU}/cpu0/online`)).toBe("0\n");
    expect(listFixture(dir, `${CPU}/cpu0`).sort()).toEqual(["online", "uevent"]);
    expect(() => renderFixture(dir, `${CPU}/cpu7/online`)).toThrow();
    expect(() => renderFixture(dir, `${CPU}/cpu0/topology/online`)).toThrow();
  });

  it("is never found by the name that it has for ourselves", () => {
    const dir = caseWith({ ...files, ...quota });
    for (const path of [`${CPU}/./cpu9/online`, `${CPU}/../cpu/cpu9/online`]) {
      expect(() => renderFixture(dir, path)).toThrow();
    }
    expect(listFixture(dir, CPU)).not.toContain(".");
  });
});

describe("huge pages", () => {
  it.each([
    ["demote_size", "4kB\n"],
    ["demote", "0\n"],
  ])("%s is no amount, and passes through", (name, text) => {
    const path = `${NODE}/node0/hugepages/hugepages-2048kB/${name}`;
    expect(rendered(path, text)).toBe(text);
  });
});

describe("the tree", () => {
  it.each(["v2-s390x", "v2-x86-128cpu"])("of %s has what its host has, and no more", (name) => {
    const host = join(project, "test/fixtures", name);
    const paths = treePaths(host);
    expect(paths.filter((path) => !existsSync(join(host, path)))).toEqual([]);
    expect(new Set(paths).size).toBe(paths.length);
    expect(paths).toContain("proc/meminfo");
    // Hosts without NUMA have no directory of nodes.
    expect(paths.includes(NODE)).toBe(existsSync(join(host, NODE)));
  });
});

describe("memory of nodes", () => {
  /** Sets where the container's memory may be and is. */
  function sums(files: Files): { nodes: Map<string, number>[]; all: Map<string, number> } {
    const dir = caseWith(files);
    const shown = listFixture(dir, NODE).filter((name) => /^node\d/.test(name));
    return {
      nodes: shown.sort().map((name) => nodeMeminfo(renderFixture(dir, `${NODE}/${name}/meminfo`))),
      all: meminfo(renderFixture(dir, "proc/meminfo")),
    };
  }

  function check({ nodes, all }: ReturnType<typeof sums>): void {
    const sum = (label: string): number =>
      nodes.reduce((total, node) => total + (node.get(label) ?? Number.NaN), 0);
    for (const label of ["MemTotal", "MemFree", "AnonPages", "Shmem", "SReclaimable", "Mapped"]) {
      expect([label, sum(label)]).toEqual([label, all.get(label)]);
    }
    expect(sum("FilePages")).toBe((all.get("Cached") ?? 0) + (all.get("SwapCached") ?? 0));
    for (const node of nodes) {
      const of = (label: string): number => node.get(label) ?? Number.NaN;
      for (const label of ["MemTotal", "MemFree", "MemUsed", "AnonPages", "Mapped"]) {
        expect([label, of(label) % PAGE_KB]).toEqual([label, 0]);
      }
      expect(of("MemUsed") + of("MemFree")).toBe(of("MemTotal"));
      expect(of("Active")).toBe(of("Active(anon)") + of("Active(file)"));
      expect(of("Slab")).toBe(of("SReclaimable") + of("SUnreclaim"));
    }
  }

  it("has in vmstat of all nodes as many pages as in /proc/vmstat", () => {
    const text = "nr_free_pages 1234567\n";
    const dir = caseWith({ [`${NODE}/node0/vmstat`]: text, [`${NODE}/node1/vmstat`]: text });
    const free = (path: string): number =>
      Number(/^nr_free_pages (\d+)$/m.exec(renderFixture(dir, path))?.[1]);
    const nodes = listFixture(dir, NODE).filter((name) => /^node\d/.test(name));
    expect(nodes).toHaveLength(2);
    const sum = nodes.reduce((all, name) => all + free(`${NODE}/${name}/vmstat`), 0);
    expect(sum).toBe(free("proc/vmstat"));
  });

  const stat = (n0: number, n1: number): Files => ({
    [`${OWN}/memory.numa_stat`]: `anon N0=${n0} N1=${n1}\nworkingset_nodes N0=9 N1=9\n`,
  });

  it("sums to that of the container", () => check(sums({})));

  it.each([
    [0, 0],
    [0, 2 ** 30],
    [2 ** 62, 1],
    [5, 3],
  ])("sums to that of the container with %d and %d bytes in use", (n0, n1) => {
    check(sums(stat(n0, n1)));
  });

  it("is where the container's memory is", () => {
    const { nodes } = sums(stat(0, 2 ** 20));
    // What others use of the limit above it may be anywhere.
    expect(nodes[0]?.get("MemUsed")).toBeLessThan(1024);
    expect(nodes[0]?.get("AnonPages")).toBe(0);
    expect(nodes[1]?.get("AnonPages")).toBeGreaterThan(0);
  });

  it("has what others use on all nodes", () => {
    // Of the 1 GiB of the limit above it.
    const usage = "cgroup/kubepods.slice/kubepods-burstable.slice/memory.current";
    const found = sums({ [usage]: "600002560\n", ...stat(0, 2 ** 20) });
    check(found);
    const [first = 0, second = 0] = found.nodes.map((node) => node.get("MemUsed"));
    const own = 199_540_736 / 1024;
    expect(second - first).toBeGreaterThan(0.9 * own);
    expect(second - first).toBeLessThan(1.3 * own);
  });

  it("keeps its size when use moves", () => {
    const sizes = [stat(0, 2 ** 20), stat(2 ** 20, 0)].map((files) =>
      sums(files).nodes.map((node) => node.get("MemTotal")),
    );
    expect(sizes[0]).toEqual(sizes[1]);
  });

  it("is all on the one node that may be used", () => {
    const set = "cgroup/kubepods.slice/kubepods-burstable.slice/cpuset.mems.effective";
    const found = sums({ [set]: "1\n", [`${OWN}/cpuset.mems.effective`]: "1\n" });
    check(found);
    // Node 0 has the CPUs, and no memory.
    expect(found.nodes.map((node) => node.get("MemTotal"))).toEqual([0, found.all.get("MemTotal")]);
  });

  describe("huge pages of a host that has some on both nodes", () => {
    const PAGES = `${NODE}/node0/hugepages/hugepages-2048kB`;
    const onNodes = (of: (node: string) => Files): Files => ({ ...of("node0"), ...of("node1") });
    const PROC = readFileSync(join(RECORDED, "proc/meminfo"), "utf8");
    const HOST: Files = {
      ...onNodes((node) => ({
        [`${NODE}/${node}/meminfo`]: readFileSync(join(RECORDED, `${NODE}/${node}/meminfo`), "utf8")
          .replace(/HugePages_Total: +0/, "HugePages_Total:     8")
          .replace(/HugePages_Free: +0/, "HugePages_Free:      3"),
        [`${NODE}/${node}/vmstat`]: "nr_free_pages 1234567\nnr_hugetlb 2560\n",
        [`${NODE}/${node}/hugepages/hugepages-2048kB/nr_hugepages`]: "8\n",
        [`${NODE}/${node}/hugepages/hugepages-2048kB/free_hugepages`]: "3\n",
        [`${NODE}/${node}/hugepages/hugepages-2048kB/surplus_hugepages`]: "1\n",
      })),
      "proc/meminfo": PROC.replace(/HugePages_Total: +0/, "HugePages_Total:      16")
        .replace(/HugePages_Free: +0/, "HugePages_Free:        6")
        .replace(/Hugetlb: +0/, "Hugetlb:           32768"),
      "proc/vmstat": `${readFileSync(join(RECORDED, "proc/vmstat"), "utf8")}nr_hugetlb 5120\n`,
    };
    /** nr_hugetlb. */
    const inUse = (dir: string, path: string): number =>
      Number(/^nr_hugetlb (\d+)$/m.exec(renderFixture(dir, path))?.[1]);
    const chain = [OWN, dirname(OWN), dirname(dirname(OWN)), "cgroup/kubepods.slice"];
    const memory = [...chain, "cgroup/kubepods.slice/kubepods-burstable.slice"];

    it.each([
      ["with", []],
      ["without", ["current", "stat", "max", "high", "swap.max", "swap.current", "swap.high"]],
    ])("are the host's in every file, %s a memory controller", (_, missing) => {
      const dir = caseWith(HOST);
      for (const at of memory) {
        for (const name of missing) rmSync(join(dir, at, `memory.${name}`), { force: true });
      }
      for (const node of ["node0", "node1"]) {
        const found = nodeMeminfo(renderFixture(dir, `${NODE}/${node}/meminfo`));
        expect([found.get("HugePages_Total"), found.get("HugePages_Free")]).toEqual([8, 3]);
        expect(inUse(dir, `${NODE}/${node}/vmstat`)).toBe(2560);
      }
      expect(inUse(dir, "proc/vmstat")).toBe(5120);
      expect(renderFixture(dir, `${PAGES}/nr_hugepages`)).toBe("8\n");
    });

    it("are none on a node that is shown for its CPUs only", () => {
      const dir = caseWith({ ...HOST, [`${OWN}/cpuset.mems.effective`]: "1\n" });
      const [first, second] = ["node0", "node1"].map((node) =>
        nodeMeminfo(renderFixture(dir, `${NODE}/${node}/meminfo`)),
      );
      expect(new Set(first?.values())).toEqual(new Set([0]));
      expect(second?.get("HugePages_Total")).toBe(8);
      expect(meminfo(renderFixture(dir, "proc/meminfo")).get("HugePages_Total")).toBe(8);
      for (const name of ["nr", "free", "surplus"]) {
        expect(renderFixture(dir, `${PAGES}/${name}_hugepages`)).toBe("0\n");
      }
      expect(renderFixture(dir, `${NODE}/node0/vmstat`)).toBe("nr_free_pages 0\nnr_hugetlb 0\n");
      expect(inUse(dir, `${NODE}/node1/vmstat`)).toBe(2560);
      expect(inUse(dir, "proc/vmstat")).toBe(2560);
    });
  });

  it("is no more than the nodes have that may be used", () => {
    const chain = [OWN, dirname(OWN), dirname(dirname(OWN)), "cgroup/kubepods.slice"];
    const unlimited = Object.fromEntries(chain.map((at) => [`${at}/memory.max`, "max\n"]));
    const on = (allowed: string): ReturnType<typeof sums> =>
      sums({ ...unlimited, [`${OWN}/cpuset.mems.effective`]: allowed });
    const host = nodeMeminfo(readFileSync(join(RECORDED, `${NODE}/node1/meminfo`), "utf8"));
    const both = on("0-1\n");
    const { all, nodes } = on("1\n");
    expect(all.get("MemTotal")).toBe(host.get("MemTotal"));
    expect(all.get("MemFree")).toBeLessThanOrEqual(host.get("MemFree") ?? 0);
    for (const label of ["MemTotal", "MemFree"]) {
      // Node 0 has the CPUs, and no memory.
      expect(nodes.map((node) => node.get(label))).toEqual([0, all.get(label)]);
    }
    for (const label of ["MemTotal", "MemFree", "MemAvailable"]) {
      const of = both.all.get(label) ?? Number.NaN;
      expect(all.get(label), label).toBeGreaterThan(0.4 * of);
      expect(all.get(label), label).toBeLessThan(0.7 * of);
    }
    const mapped = [...all].filter(([label]) => label.startsWith("DirectMap"));
    expect(mapped.reduce((sum, [, kb]) => sum + kb, 0)).toBe(all.get("MemTotal"));
    expect(all.get("SwapTotal")).toBe(both.all.get("SwapTotal"));
    const committable = (of: typeof all): number =>
      (of.get("CommitLimit") ?? Number.NaN) - (of.get("SwapTotal") ?? Number.NaN);
    expect(committable(all) / committable(both.all)).toBeCloseTo(2_040_824 / 3_977_160, 2);
    // Such nodes are gone.
    expect(on("7\n").all).toEqual(both.all);
  });

  it("is told to operators as it is shown", () => {
    const chain = [OWN, dirname(OWN), dirname(dirname(OWN)), "cgroup/kubepods.slice"];
    const unlimited = Object.fromEntries(chain.map((at) => [`${at}/memory.max`, "max\n"]));
    const dir = caseWith({ ...unlimited, [`${OWN}/cpuset.mems.effective`]: "1\n" });
    const shown = meminfo(renderFixture(dir, "proc/meminfo"));
    const told = memoryFiguresOfFixture(dir);
    const host = nodeMeminfo(readFileSync(join(RECORDED, `${NODE}/node1/meminfo`), "utf8"));
    expect(shown.get("MemTotal")).toBe(host.get("MemTotal"));
    expect(told.get("memoryTotal")).toBe(value(shown, "MemTotal") * 1024);
    expect(told.get("memoryAvailable")).toBe(value(shown, "MemAvailable") * 1024);
  });

  it("is in zones of the nodes that may be used, as in /proc/zoneinfo", () => {
    const set = "cgroup/kubepods.slice/kubepods-burstable.slice/cpuset.mems.effective";
    const zonesWith = (nodes: string) => {
      const files = { [set]: nodes, [`${OWN}/cpuset.mems.effective`]: nodes };
      const text = renderFixture(caseWith(files), "proc/zoneinfo");
      const shown = new Set([...text.matchAll(/^Node (\d+)/gm)].map(([, node]) => Number(node)));
      const managed = [...text.matchAll(/^ +managed +(\d+)$/gm)].map(([, pages]) => Number(pages));
      return { shown: [...shown], pages: managed.reduce((all, pages) => all + pages, 0) };
    };
    const pages = (meminfo(renderFixture(caseWith({}), "proc/meminfo")).get("MemTotal") ?? 0) / 4;
    expect(zonesWith("0-1\n")).toEqual({ shown: [0, 1], pages });
    expect(zonesWith("1\n")).toEqual({ shown: [1], pages });
    // Gone.
    expect(zonesWith("7\n")).toEqual({ shown: [0, 1], pages });
  });

  it("has the kernel's columns also where the host's numbers are wider", () => {
    const path = `${NODE}/node0/meminfo`;
    const text =
      "Node 0 MemTotal:       1958377480 kB\nNode 0 MemFree:        900000000 kB\n" +
      "Node 0 HugePages_Surp: 1000000\n";
    const [total, free, pages] = rendered(path, text).split("\n");
    expect(total).toMatch(/^Node 0 MemTotal: {7}[ \d]{8} kB$/);
    expect(free).toMatch(/^Node 0 MemFree: {8}[ \d]{8} kB$/);
    expect(pages).toBe("Node 0 HugePages_Surp: 1000000");
  });

  it("tells no counter of the host", () => {
    const dir = caseWith({});
    expect(renderFixture(dir, `${NODE}/node0/numastat`)).toMatch(/^(\w+ 0\n)+$/);
  });
});

describe("numbers of paths", () => {
  it("are the same for a fresh worker on a host of 512 CPUs, and no two alike", () => {
    const root = mkdtempSync(
      join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), testName("sys-")),
    );
    onTestFinished(() => rmSync(root, { recursive: true, force: true }));
    const paths: string[] = [];
    for (let cpu = 0; cpu < 512; cpu += 1) {
      for (const directory of ["topology", "cache/index0", "power"]) {
        const below = `devices/system/cpu/cpu${cpu}/${directory}`;
        mkdirSync(join(root, below), { recursive: true });
        for (let file = 0; file < 10; file += 1) {
          writeFileSync(join(root, below, `file${file}`), "");
          paths.push(`${below}/file${file}`);
        }
      }
    }
    const numbered = numberPaths(root, [...paths].reverse());
    expect(numbered.map(({ path }) => path)).toEqual([...paths].reverse());
    const numbers = new Set(numbered.map(({ number }) => number));
    expect(numbers.size).toBe(paths.length);
    expect(Math.max(...numbers)).toBeLessThan(2 ** 23);
    expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0);
  });

  it("are none of a path that is not there", () => {
    const root = mkdtempSync(join(tmpdir(), testName("sys-")));
    onTestFinished(() => rmSync(root, { recursive: true, force: true }));
    expect(numberPaths(root, ["devices/system/cpu/x"])[0]?.path).toBe("");
  });

  it("are looked for ever less often while the host has them not", () => {
    const root = mkdtempSync(join(tmpdir(), testName("sys-")));
    onTestFinished(() => rmSync(root, { recursive: true, force: true }));
    mkdirSync(join(root, "devices/system/cpu"), { recursive: true });
    const asked = [500, 1000, 1500, 2000, 3500, 4000, 7900, 8000, 15_900, 16_000];
    expect(scanTimes(root, 7, asked)).toEqual([1000, 2000, 4000, 8000, 16_000]);
  });
});
