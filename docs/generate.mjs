#!/usr/bin/env node
// Makes docs/reference/files.md from the table of views and the descriptions beside them, docs/reference/dependencies.md
// from the npm packages that are installed, and docs/reference/support.md from what scenarios on booted nodes
// have shown, and the bind mounts in docs/guide/containers.md from the table of views.
//
//   node docs/generate.mjs          writes them
//   node docs/generate.mjs --check  fails when they are not what would be written

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "smol-toml";
import { supportPage } from "../test/node/support.mjs";
import { withBinds } from "./binds.mjs";
import { renderDependencies } from "./dependencies.mjs";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const views = join(project, "native/view");

class DocumentationError extends Error {}

/** Rows of views.def: where a file is, its mode, and the name of its description. */
function readTable() {
  const row = /^VPROCFS_VIEW\(\s*\d+,\s*"([^"]+)",\s*(\d+),[^,]+,\s*(\w+),\s*render_(\w+)\s*\)/gm;
  const table = readFileSync(join(views, "views.def"), "utf8");
  return [...table.matchAll(row)].map(([, path, mode, changes, name]) => {
    return { path: `/${path}`, mode, changes, name };
  });
}

function isText(value) {
  return typeof value === "string" && value.trim() !== "";
}

/** The description of a view. Whatever is missing or misspelt in it is an error. */
function readDescription(name) {
  const file = `native/view/${name}.toml`;
  const fail = (what) => {
    throw new DocumentationError(`${file}: ${what}`);
  };
  let text;
  try {
    text = readFileSync(join(project, file), "utf8");
  } catch {
    return fail("there is no description of this view");
  }
  const { summary, v1, v2, host, notes, fields, ...others } = parse(text);
  if (Object.keys(others).length > 0) {
    fail(`unknown: ${Object.keys(others).join(", ")}`);
  }
  if (!isText(summary)) {
    fail("summary must be a text");
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
  return { summary, v1, v2, host, notes, fields };
}

const code = (text) => `\`${text}\``;
const names = (text) => text.split(", ").map(code).join(", ");
const cell = (text) => text.replaceAll("|", "\\|");

function sources({ v1, v2, host }) {
  const lines = [
    ["cgroup v1", v1],
    ["cgroup v2", v2],
    ["host", host],
  ];
  return lines
    .filter(([, list]) => list.length > 0)
    .map(([label, list]) => `- ${label}: ${list.join("; ")}`)
    .join("\n");
}

function section({ path, mode, changes, description }) {
  const { summary, notes, fields } = description;
  const always = changes === "kAlways" ? "at any moment" : "with limits only";
  const rows = fields.map(({ name, meaning, formula = "" }) => {
    return `| ${names(name)} | ${cell(meaning)} | ${cell(formula)} |`;
  });
  const parts = [
    `## ${path}`,
    summary,
    `Mode ${mode}. Changes ${always}.`,
    sources(description),
    ["| field | meaning | formula |", "|---|---|---|", ...rows].join("\n"),
    notes.join("\n\n"),
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

function render() {
  const table = readTable();
  if (table.length === 0) {
    throw new DocumentationError("native/view/views.def: no views found");
  }
  const known = new Set(table.map(({ name }) => `${name}.toml`));
  const stray = readdirSync(views).filter((name) => name.endsWith(".toml") && !known.has(name));
  if (stray.length > 0) {
    throw new DocumentationError(`native/view/${stray[0]}: describes no view`);
  }
  const files = table
    .map((row) => ({ ...row, description: readDescription(row.name) }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const head = `<!-- Made by docs/generate.mjs from native/view/*.toml: change those. -->

# Every file and what it says

What each file shows inside a container, and what it is made from. Limits are the tightest along the
container's cgroup and all its ancestors. Keys in formulas are those of the cgroup's files, by the
names of cgroup v2. A file that the host's kernel does not have is not there. Where no cgroup tells a
figure it is 0: the node's is never shown, but for the form (which lines, columns and units there
are).
`;
  return `${[head.trimEnd(), ...files.map(section)].join("\n\n")}\n`;
}

/** What is made, by file of docs/. */
function renderAll() {
  const fail = (message) => {
    throw new DocumentationError(message);
  };
  return {
    "reference/files.md": render(),
    "reference/dependencies.md": renderDependencies(fail),
    "reference/support.md": supportPage(),
    "guide/containers.md": withBinds(
      readFileSync(join(project, "docs/guide/containers.md"), "utf8"),
      readTable(),
      fail,
    ),
  };
}

function main(isCheck) {
  for (const [name, text] of Object.entries(renderAll())) {
    const target = join(project, "docs", name);
    if (!isCheck) {
      writeFileSync(target, text);
    } else if (!existsSync(target) || readFileSync(target, "utf8") !== text) {
      throw new DocumentationError(`docs/${name} is not up to date: run 'npm run docs'`);
    }
  }
}

try {
  main(process.argv[2] === "--check");
} catch (error) {
  console.error(error instanceof DocumentationError ? error.message : error);
  process.exitCode = 1;
}
