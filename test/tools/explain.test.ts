import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { explain } from "../../src/tools/explain/explain.js";
import { container } from "../support/fake-binding.js";

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
