import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, totalmem } from "node:os";
import { basename, join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { main } from "../../src/program.js";
import { explain } from "../../src/tools/explain/explain.js";
import { collecting, container, fakeBinding, type Outcome } from "../support/fake-binding.js";

/** A container whose limit leaves more than the node's MemAvailable. */
function explained(field: string, arc: number) {
  const mount = mkdtempSync(join(tmpdir(), "vprocfs-explain-"));
  onTestFinished(() => rmSync(mount, { recursive: true }));
  const directory = join(mount, "web1");
  mkdirSync(directory);
  writeFileSync(join(directory, "memory.max"), `${totalmem() - 4096}\n`);
  writeFileSync(join(directory, "memory.current"), "0\n");
  const cgroups = { memory: { mount, path: "/web1", v2: true } };
  const read = () => "MemFree: 1 kB\nMemAvailable: 1 kB\n";
  const found = explain({ container: container({ cgroups }), read, arc }, field);
  const paths = found?.sources.map(({ path }) => path);
  return { decides: found?.decidedBy === directory, paths };
}

it.each(["MemFree", "MemAvailable"])("%s counts what ZFS's cache would give back", (field) => {
  const arcstats = "/proc/spl/kstat/zfs/arcstats";
  const without = explained(field, 0);
  expect(without.decides).toBe(false);
  expect(without.paths).not.toContain(arcstats);
  const having = explained(field, totalmem());
  expect(having.decides).toBe(true);
  expect(having.paths).toContain(arcstats);
});

const SWAP = 1024 * Number(/^SwapTotal: +(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]);
const GIB = 2 ** 30;

/** A cgroup of a container with these files, and what decides a field of one that reads `meminfo`. */
function decides(
  field: string,
  v2: boolean,
  files: Readonly<Record<string, number>>,
  meminfo = "",
) {
  const mount = mkdtempSync(join(tmpdir(), "vprocfs-explain-"));
  onTestFinished(() => rmSync(mount, { recursive: true }));
  const directory = join(mount, "web1");
  mkdirSync(directory);
  for (const [name, value] of Object.entries(files)) {
    writeFileSync(join(directory, name), `${value}\n`);
  }
  const cgroups = { memory: { mount, path: "/web1", v2 } };
  const inputs = { container: container({ cgroups }), read: () => meminfo, arc: 0 };
  const decidedBy = explain(inputs, field)?.decidedBy;
  return decidedBy === undefined ? "none" : basename(decidedBy);
}

it.each([
  ["no limit of both", 2 ** 63 - 4096, "none"],
  ["more than the host has left for swap", GIB + SWAP, "none"],
  ["less", GIB + SWAP / 2, SWAP > 0 ? "web1" : "none"],
])("SwapTotal on v1, with %s, is decided as it is computed", (_, both, expected) => {
  const files = { "memory.limit_in_bytes": GIB, "memory.memsw.limit_in_bytes": both };
  expect(decides("SwapTotal", false, files)).toBe(expected);
  expect(decides("SwapFree", false, files)).toBe("none");
});

it("SwapFree is decided by the limit that SwapTotal is where nothing else may leave less", () => {
  const limit = 64 * 1024;
  const files = { "memory.swap.max": limit, "memory.swap.current": limit / 2 };
  const shown = `SwapTotal: ${limit / 1024} kB\n`;
  expect(decides("SwapFree", true, files, shown)).toBe(SWAP > limit ? "web1" : "none");
  expect(decides("SwapFree", true, { ...files, "memory.swap.high": limit }, shown)).toBe("none");
  const all = { ...files, "memory.swap.max": SWAP, "memory.swap.current": 0 };
  expect(decides("SwapFree", true, all, `SwapTotal: ${SWAP / 1024} kB\n`)).toBe("none");
});

it("MemTotal is not decided by a limit above what the memory nodes of the container have", () => {
  const files = { "memory.max": totalmem() / 2 };
  const shown = (bytes: number): string => `MemTotal: ${Math.floor(bytes / 1024)} kB\n`;
  expect(decides("MemTotal", true, files, shown(totalmem() / 2))).toBe("web1");
  expect(decides("MemTotal", true, files, shown(totalmem() / 4))).toBe("none");
});

it("a value that is cut ends in a mark", async () => {
  const mount = mkdtempSync(join(tmpdir(), "vprocfs-explain-"));
  onTestFinished(() => rmSync(mount, { recursive: true }));
  const list = Array.from({ length: 64 }, (_, cpu) => 2 * cpu).join(",");
  writeFileSync(join(mount, "cpuset.cpus.effective"), list);
  const cgroups = { cpuset: { mount, path: "/", v2: true } };
  class Renderer {
    list = () => [];
    render = () => Buffer.from("cpu0 1\n");
    look = () => null;
    close = () => {};
  }
  const outcome: Outcome = { out: "", err: "", status: 0 };
  const binding = { ...fakeBinding([container({ cgroups })]), Renderer };
  const argv = ["explain", "web1", "cpus", "--mountpoint", "/nonexistent/tree"];
  await main(argv, collecting(outcome, binding), () => {});
  expect(outcome.out).toContain(`${list.slice(0, 59)}…`);
  expect(outcome.out).not.toContain(list.slice(0, 60));
});
