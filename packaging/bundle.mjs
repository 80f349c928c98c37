// Compiles and bundles TypeScript: what runs is a few files that hold, of npm packages, only the code
// that they need. Node starts them in half the time that the modules took one by one, and in half the
// memory. Nothing is minified, so that a stack trace tells where something happened.
//
// Types are not looked at: the linters do that.

import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";
import { project } from "./npm-packages.mjs";

/** What draws the charts of a benchmark, which only a checkout has. */
const OPTIONAL = ["@observablehq/plot", "linkedom"];

/** A directory of programs, relative to the project, and the module that each of them begins with. */
const BUNDLES = {
  // What is installed. Each program stands alone: none loads what it does not need.
  dist: {
    cli: "src/cli.ts",
    demo: "src/demo/main.ts",
    "password-thread": "src/metrics/password-thread.ts",
  },
  "dist/bench": { run: "bench/run.ts", trial: "bench/trial.ts" },
  // What scripts and tests load instead of running it.
  "build/modules": {
    "bench-results": "bench/results.ts",
    config: "src/config.ts",
    "demo-cgroups": "src/demo/cgroups.ts",
    "demo-container": "src/demo/container.ts",
    "demo-tree": "src/demo/tree.ts",
    "keeper-status": "src/keeper-status.ts",
    mountinfo: "src/mountinfo.ts",
    program: "src/program.ts",
  },
};

/**
 * Parts of npm packages that nothing here uses and that load much of Node: some megabytes of each
 * worker. Beside each path what stands in for it.
 */
const LEFT_OUT = {
  // Logs that other threads write.
  "/thread-stream/index.js": "module.exports = undefined;",
  // Pushes metrics, collects those of a cluster of Nodes, keeps quantiles, and reads spans.
  "/prom-client/lib/pushgateway.js": "module.exports = undefined;",
  "/prom-client/lib/cluster.js": "module.exports = undefined;",
  "/prom-client/lib/summary.js": "module.exports = undefined;",
  "/@opentelemetry/api/": "module.exports = {};",
};

const MAIN_THREAD = "\0main-thread";

const leaveOut = {
  name: "leave out",
  resolveId(source, importer) {
    // Whether this is the main thread: workers of Node have no logs here.
    return source === "worker_threads" && importer?.endsWith("/pino/lib/tools.js")
      ? MAIN_THREAD
      : undefined;
  },
  load(id) {
    if (id === MAIN_THREAD) {
      return "export const isMainThread = true;";
    }
    const path = Object.keys(LEFT_OUT).find((part) => id.includes(`node_modules${part}`));
    return path === undefined ? undefined : LEFT_OUT[path];
  },
};

/**
 * V8 holds the text of a file for as long as its code, in two bytes for each character when one of them
 * is not of Latin-1.
 */
function writeInAscii(path) {
  const code = readFileSync(path, "utf8").replaceAll(
    /[^\0-\x7f]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  writeFileSync(path, code);
}

/** Puts the files of one directory into another, where programs of before may be about to start. */
function replaceFiles(from, to) {
  mkdirSync(to, { recursive: true });
  const files = readdirSync(from);
  for (const name of files) {
    renameSync(join(from, name), join(to, name));
  }
  for (const entry of readdirSync(to, { withFileTypes: true })) {
    if (entry.isFile() && entry.name.endsWith(".js") && !files.includes(entry.name)) {
      rmSync(join(to, entry.name));
    }
  }
}

/** Makes the programs of a directory; other programs that were there go. */
export async function bundle(directory) {
  const output = join(project, directory);
  mkdirSync(join(project, "build"), { recursive: true });
  const unfinished = mkdtempSync(join(project, "build", "bundle-"));
  try {
    for (const [name, entry] of Object.entries(BUNDLES[directory])) {
      const build = await rolldown({
        input: { [name]: join(project, entry) },
        cwd: project,
        platform: "node",
        external: OPTIONAL,
        logLevel: "warn",
        plugins: [leaveOut],
      });
      await build.write({
        dir: unfinished,
        format: "esm",
        // With a hash: a process that loads one late, after an upgrade, has its own version's or none. Names of exports
        // are of one letter, and mean something else in each version.
        chunkFileNames: `${name}-[name]-[hash].js`,
        hashCharacters: "hex",
      });
      await build.close();
    }
    for (const name of readdirSync(unfinished)) {
      writeInAscii(join(unfinished, name));
    }
    replaceFiles(unfinished, output);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}
