// The files of the tree, out of the tables of views and the descriptions beside them. What the tests
// and the documents list is listed here once.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "smol-toml";

const native = join(dirname(dirname(fileURLToPath(import.meta.url))), "native");

/** The documentation contradicts itself, or lacks something. */
export class DocumentationError extends Error {}

/** runc takes mounts over no other files of /proc than these (libcontainer, checkProcMount). */
export const RUNC_FILES = [
  "cpuinfo",
  "diskstats",
  "loadavg",
  "meminfo",
  "slabinfo",
  "stat",
  "swaps",
  "uptime",
].map((name) => `/proc/${name}`);

/** Directories of sysfs that are bound as a whole, and what they show. */
export const DIRECTORIES = [
  {
    path: "/sys/devices/system/cpu",
    shows: "the same CPUs; everything else about them is as on the host",
  },
  {
    path: "/sys/devices/system/node",
    shows: "the memory nodes that the container may use, and its memory on them",
  },
];

/** Files of the container's kernel log, which no table has: they are no views of facts. */
export const LOGS = [
  {
    path: "/dev/kmsg",
    mode: "0644",
    summary:
      "The container's kernel log, one record per read: records of the host's log that are proven to be about it, and what its programs write to this file.",
  },
  {
    path: "/proc/kmsg",
    mode: "0400",
    summary: "The same log in the old format; each record is returned once, to the first reader.",
  },
];

/** Rows of both tables by index: where a file is, its mode, and the name of its description. */
function readTable() {
  const read = (file, pattern) => [...readFileSync(join(native, file), "utf8").matchAll(pattern)];
  const views = read(
    "view/views.def",
    /^VPROCFS_VIEW\(\s*(\d+),\s*"([^"]+)",\s*(\d+),[^,]+,\s*(\w+),\s*\w+\s*\)/gm,
  ).map(([, index, path, mode, changes]) => ({
    index,
    path: `/${path}`,
    mode,
    changes,
    name: path.replace(/^(proc|sys\/devices\/system)\//, "").replaceAll("/", "_"),
  }));
  const hosts = read(
    "facts/host_files.def",
    /^VPROCFS_HOST_FILE\((\d+), (\w+), \w+, \d+, [^"]+, "([^"]+)", (\d+), [^,]+, (\w+)\)/gm,
  ).map(([, index, name, path, mode, changes]) => {
    return { index, path: `/proc/${path}`, mode, changes, name };
  });
  return [...views, ...hosts].sort((a, b) => Number(a.index) - Number(b.index));
}

function isText(value) {
  return typeof value === "string" && value.trim() !== "";
}

function isListed({ path }) {
  return !DIRECTORIES.some((directory) => path.startsWith(`${directory.path}/`));
}

/** The description of a view. Whatever is missing or misspelt in it is an error. */
function readDescription(row) {
  const file = `native/view/${row.name}.toml`;
  const fail = (what) => {
    throw new DocumentationError(`${file}: ${what}`);
  };
  let text;
  try {
    text = readFileSync(join(native, "view", `${row.name}.toml`), "utf8");
  } catch {
    return fail("there is no description of this view");
  }
  const {
    summary,
    changes,
    shows,
    common = true,
    v1,
    v2,
    host,
    notes,
    fields,
    ...others
  } = parse(text);
  if (Object.keys(others).length > 0) {
    fail(`unknown: ${Object.keys(others).join(", ")}`);
  }
  if (!isText(summary)) {
    fail("summary must be a text");
  }
  if (changes !== undefined && !isText(changes)) {
    fail("changes must say when, where that is more than the table of views has");
  }
  if (isText(shows) !== isListed(row)) {
    fail("shows must say in a few words what the file shows, unless its directory is listed");
  }
  if (typeof common !== "boolean") {
    fail("common must be true or false");
  }
  for (const [key, list] of Object.entries({ v1, v2, host, notes })) {
    if (!Array.isArray(list) || !list.every(isText)) {
      fail(`${key} must be a list of texts`);
    }
  }
  if (!Array.isArray(fields) || fields.length === 0) {
    fail("fields must be described");
  }
  for (const { name: field, meaning, formula, ...rest } of fields) {
    const isComplete =
      isText(field) && isText(meaning) && (formula === undefined || isText(formula));
    if (!isComplete || Object.keys(rest).length > 0) {
      fail(`a field must have a name, a meaning and perhaps a formula: ${field}`);
    }
  }
  return { summary, changes, shows, common, v1, v2, host, notes, fields };
}

/** All views by index, described. */
export function readViews() {
  const table = readTable();
  if (table.length === 0) {
    throw new DocumentationError("native/view/views.def: no views found");
  }
  const known = new Set(table.map(({ name }) => `${name}.toml`));
  const stray = readdirSync(join(native, "view")).find(
    (name) => name.endsWith(".toml") && !known.has(name),
  );
  if (stray !== undefined) {
    throw new DocumentationError(`native/view/${stray}: describes no view`);
  }
  return table.map((row) => ({ ...row, description: readDescription(row) }));
}
