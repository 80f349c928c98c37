#!/usr/bin/env node
// Builds the Debian packages vprocfs and vprocfs-lxcfs-compat out of a built tree (npm run build):
//
//   node packaging/debian/build.mjs [--output DIR] [--version VERSION] [--compression xz|gzip|none]
//
// Needs dpkg-deb, strip and gzip. Nothing is fetched: the addon, the programs and the npm packages are
// those that are here.

import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const project = resolve(here, "../..");
const manifest = JSON.parse(readFileSync(join(project, "package.json"), "utf8"));

const ARCHITECTURES = {
  x64: "amd64",
  arm64: "arm64",
  ppc64: "ppc64el",
  s390x: "s390x",
  riscv64: "riscv64",
};

/** The LXCFS that vprocfs stands for: packages depend on a version. */
const LXCFS = "7.0.0";

function option(name, fallback) {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv[at + 1];
}

function fail(message) {
  console.error(`build.mjs: ${message}`);
  process.exit(1);
}

function write(root, path, text, mode = 0o644) {
  const target = join(root, path);
  mkdirSync(dirname(target), { recursive: true, mode: 0o755 });
  writeFileSync(target, text, { mode });
  chmodSync(target, mode);
}

function copy(root, from, to, mode = 0o644) {
  write(root, to, readFileSync(join(project, from)), mode);
}

function link(root, to, path) {
  mkdirSync(dirname(join(root, path)), { recursive: true, mode: 0o755 });
  symlinkSync(to, join(root, path));
}

/** The directories of the npm packages that run with vprocfs. */
function npmPackages() {
  const { packages } = JSON.parse(readFileSync(join(project, "package-lock.json"), "utf8"));
  return Object.entries(packages)
    .filter(
      ([path, { dev, optional, devOptional }]) => path !== "" && !(dev || optional || devOptional),
    )
    .map(([path, { version: wanted }]) => {
      const file = join(project, path, "package.json");
      const found = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).version : "nothing";
      return found === wanted ? path : fail(`${path} has ${found}, not ${wanted}: run 'npm ci'`);
    });
}

/** What runs of the project itself; documents and integrations have places of their own. */
const PROGRAM = ["package.json", "LICENSE", ...manifest.files].filter(
  (path) => !["packaging", "docs", "CHANGELOG.md"].includes(path),
);

/** Of packaging/, what operators copy or name in a configuration. */
const INTEGRATIONS = ["containerd", "kubernetes", "lxc", "monitoring", "oci", "osctl"].filter(
  (name) => existsSync(join(project, "packaging", name)),
);

/** Of files of npm packages, those that something needs at run time, or their licence asks for. */
function isNeeded(path) {
  return (
    /\/licen[cs]e[^/]*$/i.test(path) ||
    !/\.(?:map|d\.[cm]?ts|md|flow)$|\/(?:test|tests|benchmarks|docs|\.github)$/i.test(path)
  );
}

function stageProgram(root) {
  const home = "usr/lib/vprocfs";
  for (const path of PROGRAM) {
    if (!existsSync(join(project, path))) {
      fail(`${path} is not there: run 'npm run build' first`);
    }
    cpSync(join(project, path), join(root, home, path), { recursive: true, dereference: true });
  }
  for (const path of npmPackages()) {
    cpSync(join(project, path), join(root, home, path), {
      recursive: true,
      filter: (source) =>
        isNeeded(source) && !relative(join(project, path), source).startsWith("node_modules"),
    });
  }
  for (const name of ["vprocfs-keeper", "vprocfs-attach", "vprocfs.node"]) {
    const path = join(root, home, "build/Release", name);
    execFileSync("strip", ["--strip-debug", path]);
    chmodSync(path, name.endsWith(".node") ? 0o644 : 0o755);
  }
  chmodSync(join(root, home, "dist/cli.js"), 0o755);
  link(root, "../lib/vprocfs/dist/cli.js", "usr/bin/vprocfs");
  link(root, "../lib/vprocfs/build/Release/vprocfs-attach", "usr/bin/vprocfs-attach");
  link(root, "build/Release/vprocfs-attach", `${home}/vprocfs-attach`);
  for (const name of INTEGRATIONS) {
    cpSync(join(project, "packaging", name), join(root, "usr/share/vprocfs", name), {
      recursive: true,
    });
  }
  copy(root, "packaging/oci/vprocfs-runtime", `${home}/vprocfs-runc`, 0o755);
  link(root, "vprocfs-runc", `${home}/vprocfs-crun`);
}

function stageServices(root) {
  copy(root, "packaging/systemd/vprocfs.service", "lib/systemd/system/vprocfs.service");
  for (const name of ["run", "finish", "log/run"]) {
    copy(root, `packaging/runit/vprocfs/${name}`, `etc/sv/vprocfs/${name}`, 0o755);
  }
  copy(root, "packaging/debian/vprocfs.toml", "etc/vprocfs/vprocfs.toml");
  write(root, "usr/lib/tmpfiles.d/vprocfs.conf", "d /run/vprocfs 0700 root root -\n");
  // The mount point. Nothing may touch it when something is mounted there, as tmpfiles would.
  mkdirSync(join(root, "var/lib/vprocfs"), { recursive: true, mode: 0o755 });
}

/** What each bundled npm package is licensed under, for the copyright file. */
function bundled() {
  const lines = npmPackages().map((path) => {
    const {
      name,
      version: its,
      license,
    } = JSON.parse(readFileSync(join(project, path, "package.json"), "utf8"));
    return `  ${name} ${its}: ${license}`;
  });
  return `\nBundled npm packages, with their licences in /usr/lib/vprocfs/node_modules:\n${lines.join("\n")}\n`;
}

async function stageDocuments(root, version) {
  const { manPages, completions } = await import("./generate.mjs");
  for (const [path, text] of Object.entries(await manPages(version))) {
    write(root, `usr/share/man/${path}`, text);
    execFileSync("gzip", ["-9n", join(root, "usr/share/man", path)]);
  }
  for (const [path, text] of Object.entries(await completions())) {
    write(root, path, text);
  }
  const doc = "usr/share/doc/vprocfs";
  for (const name of readdirSync(join(project, "docs")).filter((file) => file.endsWith(".md"))) {
    copy(root, `docs/${name}`, `${doc}/${name}`);
  }
  write(root, `${doc}/copyright`, readFileSync(join(project, "LICENSE"), "utf8") + bundled());
  copy(root, "CHANGELOG.md", `${doc}/changelog`);
  execFileSync("gzip", ["-9n", join(root, doc, "changelog")]);
}

/** Kibibytes below a directory. */
function sizeOf(path) {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined || !stats.isDirectory()) {
    return (stats?.size ?? 0) / 1024;
  }
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 4);
}

function stageControl(root, fields, scripts, conffiles = []) {
  const all = { ...fields, "Installed-Size": Math.ceil(sizeOf(root)) };
  const order = Object.entries(all).filter(([name]) => name !== "Description");
  const lines = [...order, ["Description", fields.Description]].map(([k, v]) => `${k}: ${v}`);
  write(root, "DEBIAN/control", `${lines.join("\n")}\n`);
  for (const name of scripts) {
    const path = join(here, fields.Package, name);
    write(root, `DEBIAN/${name}`, readFileSync(path), name === "triggers" ? 0o644 : 0o755);
  }
  if (conffiles.length > 0) {
    write(root, "DEBIAN/conffiles", `${conffiles.join("\n")}\n`);
  }
}

function pack(root, name, version, architecture, output) {
  const path = join(output, `${name}_${version}_${architecture}.deb`);
  const compression = [`-Z${option("compression", "xz")}`, "-z3"];
  execFileSync("dpkg-deb", ["--root-owner-group", ...compression, "--build", root, path], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  console.log(path);
}

const architecture = ARCHITECTURES[process.arch] ?? fail(`no Debian name for ${process.arch}`);
const version = option("version", manifest.version);
const output = resolve(option("output", join(project, "build/debian")));
const work = mkdtempSync(join(tmpdir(), "vprocfs-deb-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));
mkdirSync(output, { recursive: true });
process.umask(0o022);

/** At least what the programs were linked with. */
function builtWith(name) {
  const installed = execFileSync("dpkg-query", ["-W", "-f", "$" + "{Version}", name]);
  const [release = ""] = /^\d+(?:\.\d+)?/.exec(installed.toString()) ?? [];
  return `${name} (>= ${release})`;
}

const common = {
  Version: version,
  Maintainer: `${manifest.author} <root@localhost>`,
  Section: "admin",
  Priority: "optional",
};
const main = join(work, "vprocfs");
mkdirSync(main, { mode: 0o755 });
stageProgram(main);
stageServices(main);
await stageDocuments(main, version);
stageControl(
  main,
  {
    Package: "vprocfs",
    ...common,
    Architecture: architecture,
    Depends: ["nodejs (>= 20.17)", builtWith("libc6"), builtWith("libstdc++6")].join(", "),
    Suggests: "lxc, podman",
    Description:
      "files under /proc that show a container its own limits\n" +
      " A FUSE file system with meminfo, stat, cpuinfo, uptime, loadavg and others as each\n" +
      " container should see them, mounted into all containers of a host by itself.",
  },
  ["postinst", "prerm", "postrm", "triggers"],
  [
    "/etc/vprocfs/vprocfs.toml",
    "/etc/sv/vprocfs/run",
    "/etc/sv/vprocfs/finish",
    "/etc/sv/vprocfs/log/run",
  ],
);
pack(main, "vprocfs", version, architecture, output);

const compat = join(work, "compat");
mkdirSync(compat, { mode: 0o755 });
copy(compat, "packaging/lxcfs/lxcfs", "usr/bin/lxcfs", 0o755);
copy(
  compat,
  "packaging/debian/vprocfs-lxcfs-compat/lxcfs.service",
  "lib/systemd/system/lxcfs.service",
);
for (const name of ["lxc.mount.hook", "lxc.reboot.hook"]) {
  copy(compat, `packaging/debian/vprocfs-lxcfs-compat/${name}`, `usr/share/lxcfs/${name}`, 0o755);
}
write(compat, "usr/lib/vprocfs/in-place-of-lxcfs", "");
copy(compat, "docs/from-lxcfs.md", "usr/share/doc/vprocfs-lxcfs-compat/from-lxcfs.md");
copy(compat, "LICENSE", "usr/share/doc/vprocfs-lxcfs-compat/copyright");
mkdirSync(join(compat, "var/lib/lxcfs"), { recursive: true, mode: 0o755 });
stageControl(
  compat,
  {
    Package: "vprocfs-lxcfs-compat",
    ...common,
    Architecture: "all",
    Depends: `vprocfs (>= ${version})`,
    Provides: `lxcfs (= ${LXCFS})`,
    Conflicts: "lxcfs",
    Replaces: "lxcfs",
    Description:
      "vprocfs in the place of LXCFS\n" +
      " The command lxcfs and a service of that name, which mount vprocfs on /var/lib/lxcfs.",
  },
  ["postinst", "prerm", "postrm"],
);
pack(compat, "vprocfs-lxcfs-compat", version, "all", output);
