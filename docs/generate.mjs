#!/usr/bin/env node
// Makes docs/reference/files.md, the table of files in README.md and the bind mounts in docs/guide/containers.md from
// the table of views and the descriptions beside them, docs/reference/dependencies.md from the npm packages
// that are installed, and docs/reference/support.md from what scenarios on booted nodes have shown.
//
//   node docs/generate.mjs          writes them
//   node docs/generate.mjs --check  fails when they are not what would be written

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { supportPage } from "../test/node/support.mjs";
import { withBinds } from "./binds.mjs";
import { renderDependencies } from "./dependencies.mjs";
import { DIRECTORIES, DocumentationError, LOGS, readViews } from "./views.mjs";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
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
  const when = changes === "kAlways" ? "at any moment" : "with limits only";
  const rows = fields.map(({ name, meaning, formula = "" }) => {
    return `| ${names(name)} | ${cell(meaning)} | ${cell(formula)} |`;
  });
  const parts = [
    `## ${path}`,
    summary,
    `Mode ${mode}. Changes ${description.changes ?? when}.`,
    sources(description),
    ["| field | meaning | formula |", "|---|---|---|", ...rows].join("\n"),
    notes.join("\n\n"),
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

function logSection({ path, mode, summary }) {
  const more =
    "[dmesg.md](dmesg.md) says who may open it and how it differs from the kernel's file.";
  return [`## ${path}`, summary, `Mode ${mode}. Changes at any moment.`, more].join("\n\n");
}

function render(views) {
  const all = [
    ...views.map((view) => ({ path: view.path, text: section(view) })),
    ...LOGS.map((log) => ({ path: log.path, text: logSection(log) })),
  ];
  const files = all.sort((a, b) => (a.path < b.path ? -1 : 1)).map(({ text }) => text);
  const head = `<!-- Made by docs/generate.mjs from native/view/*.toml: change those. -->

# Files and their fields

This page says what each file shows inside a container, and from which sources. A limit is the tightest
one of the container's cgroup and all its ancestors. Formulas use the key names of cgroup v2. A file that
the host's kernel does not have is missing in containers too. A figure that no cgroup reports is 0: only
the form (lines, columns and units) comes from the node, never its figures.
`;
  return `${[head.trimEnd(), ...files].join("\n\n")}\n`;
}

/** The table of files in README.md: files that show the same have one row, where the first is. */
function withFiles(page, views, fail) {
  const rows = new Map();
  for (const { path, description } of views) {
    if (description.shows !== undefined) {
      rows.set(description.shows, [...(rows.get(description.shows) ?? []), path]);
    }
  }
  const listed = (paths) => {
    const [first = ""] = paths.map((path) => dirname(path));
    const isDirectory = first !== "/proc" && paths.every((path) => dirname(path) === first);
    return paths.length > 1 && isDirectory ? [`${first}/*`] : paths;
  };
  const shows =
    "its own [kernel log](docs/reference/dmesg.md): OOM kills, crashes, rejected forks, and what its programs write there";
  const log = [shows, LOGS.map(({ path }) => path)];
  const lines = [...rows, log, ...DIRECTORIES.map(({ path, shows }) => [shows, [path]])].map(
    ([shows, paths]) => `| ${listed(paths).map(code).join(", ")} | ${cell(shows)} |`,
  );
  const [begin, end] = [
    "<!-- files: made by docs/generate.mjs from native/view/*.toml -->",
    "<!-- /files -->",
  ];
  const [before, rest] = page.split(begin);
  const at = rest?.indexOf(end) ?? -1;
  if (at < 0) {
    fail(`README.md has no place for its files: ${begin} … ${end}`);
  }
  const table = ["| file | shows |", "|---|---|", ...lines].join("\n");
  return `${before}${begin}\n${table}\n${rest.slice(at)}`;
}

/** What is made, by file. */
function renderAll() {
  const fail = (message) => {
    throw new DocumentationError(message);
  };
  const views = readViews();
  const page = (name) => readFileSync(join(project, name), "utf8");
  const containers = "docs/guide/containers.md";
  return {
    "README.md": withFiles(page("README.md"), views, fail),
    "docs/reference/files.md": render(views),
    "docs/reference/dependencies.md": renderDependencies(fail),
    "docs/reference/support.md": supportPage(),
    [containers]: withBinds(page(containers), views, fail),
  };
}

function main(isCheck) {
  for (const [name, text] of Object.entries(renderAll())) {
    const target = join(project, name);
    if (!isCheck) {
      writeFileSync(target, text);
    } else if (!existsSync(target) || readFileSync(target, "utf8") !== text) {
      throw new DocumentationError(`${name} is not up to date: run 'npm run docs'`);
    }
  }
}

try {
  main(process.argv[2] === "--check");
} catch (error) {
  console.error(error instanceof DocumentationError ? error.message : error);
  process.exitCode = 1;
}
