// The text of docs/reference/dependencies.md: what of others vprocfs runs with, from package-lock.json and the
// packages that are installed here.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  installedBytes,
  manifestOf,
  project,
  runtimePackages,
} from "../packaging/npm-packages.mjs";

/** What those that we ask for are for; the others come with them. */
const PURPOSES = {
  "ansi-escapes": "`top` on a terminal",
  bcryptjs: "passwords of the metrics page",
  "cli-table3": "tables of the demo and of the tests",
  commander: "the command line",
  "fastest-levenshtein": '"did you mean"',
  pino: "logs",
  "prom-client": "the metrics page",
  "smol-toml": "the configuration file",
  "string-width": "widths in tables",
  yaml: "the web configuration file",
  zod: "checks of the configuration and of files",
};

const cell = (text) => text.replaceAll("|", "\\|");
const kib = (bytes) => `${Math.ceil(bytes / 1024)}`;

function licenceOf({ license, licenses }) {
  return typeof license === "string"
    ? license
    : (licenses ?? []).map(({ type }) => type).join(", ");
}

/** `fail(message)` throws. */
export function renderDependencies(fail) {
  const own = JSON.parse(readFileSync(join(project, "package.json"), "utf8"));
  const direct = Object.keys(own.dependencies);
  const stray = Object.keys(PURPOSES).find((name) => !direct.includes(name));
  if (stray !== undefined) {
    fail(`docs/dependencies.mjs: ${stray} is no dependency`);
  }
  const paths = runtimePackages(fail).sort();
  const rows = paths.map((path) => {
    const manifest = manifestOf(path);
    const { name, version } = manifest;
    const isDirect = path === `node_modules/${name}` && direct.includes(name);
    const purpose = isDirect ? PURPOSES[name] : "";
    if (purpose === undefined) {
      fail(`docs/dependencies.mjs does not say what ${name} is for`);
    }
    const licence = licenceOf(manifest);
    if (licence === "") {
      fail(`${path}/package.json names no licence`);
    }
    const bytes = installedBytes(path);
    return { name, version, licence, purpose, bytes, isDirect };
  });
  const sum = rows.reduce((bytes, row) => bytes + row.bytes, 0);
  const line = ({ name, version, licence, bytes, purpose }) =>
    `| ${name} | ${version} | ${cell(licence)} | ${kib(bytes)} | ${purpose} |`;
  const developing = Object.keys(own.devDependencies)
    .filter((name) => existsSync(join(project, "node_modules", name, "package.json")))
    .sort()
    .map((name) => `| ${name} | ${cell(licenceOf(manifestOf(`node_modules/${name}`)))} |`);
  return `<!-- Made by docs/dependencies.mjs (npm run docs) from package-lock.json: change that. -->

# Dependencies

Besides Node.js, the C library and libstdc++, the daemon and its commands use ${rows.length} npm packages,
${direct.length} of them directly. They are bundled into the programs, so no package is installed beside the
daemon. Sizes are those of the packages as npm installs them, in KiB, ${kib(sum)} in total.

| package | version | licence | KiB | for |
|---|---|---|---|---|
${[...rows.filter((row) => row.isDirect), ...rows.filter((row) => !row.isDirect)].map(line).join("\n")}

\`fuse-native\` (MIT) is optional and not in the Debian package; see [engines.md](../design/engines.md). The keeper and
the attach helper are static programs without any of these.

## To build and test

These are needed only to build and test, and are in no package.
\`@observablehq/plot\` and \`linkedom\` draw the charts of the benchmark's HTML report, which is made in a checkout.

| package | licence |
|---|---|
${developing.join("\n")}
`;
}
