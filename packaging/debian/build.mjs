#!/usr/bin/env node
// Builds the Debian packages vprocfs, vprocfs-as-lxcfs and vprocfs-lxcfs-compat out of a built tree (npm run build):
//
//   node packaging/debian/build.mjs [--output DIR] [--version VERSION] [--compression xz|gzip|none]
//                                   [--with-node [--cache DIR]] [--architecture NAME --programs DIR]
//
// Earlier versions of the packages are removed from DIR: packaging/kubernetes/Dockerfile, for one, takes all that
// are there.
//
// --architecture names another one as Node.js does (arm64); --programs is where the addon and the programs
// are that somebody has compiled for it. STRIP and OBJDUMP name tools that know it.
//
// Needs dpkg-deb, strip, objdump and gzip. Nothing is fetched: the addon, the programs and the npm
// packages that are bundled are those that are here. Only --with-node, for vprocfs-node too, gets the official Node.js
// from npm's registry, once.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
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
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { bundle } from "../bundle.mjs";
import { licencesOf, manifestOf, runtimePackages } from "../npm-packages.mjs";

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

const npmPackages = () => runtimePackages(fail);

const arch = option("architecture", process.arch);
/** Processors that vprocfs-hook is written for (binding.gyp). */
const STARTER = ["x64", "arm64"].includes(arch) ? ["vprocfs-hook"] : [];
const PROGRAMS = ["vprocfs-keeper", "vprocfs-attach", "vprocfs-writer", "vprocfs.node", ...STARTER];

/** What runs of the project itself; documents and integrations have places of their own. */
const PROGRAM = ["package.json", "LICENSE", ...manifest.files].filter(
  (path) =>
    !["packaging", "docs", "CHANGELOG.md"].includes(path) &&
    !(path === "build/Release/vprocfs-hook" && STARTER.length === 0),
);

/** Of packaging/, what operators copy or name in a configuration. */
const INTEGRATIONS = [
  "containerd",
  "criu",
  "kubernetes",
  "lxc",
  "monitoring",
  "oci",
  "osctl",
].filter((name) => existsSync(join(project, "packaging", name)));

function stageProgram(root) {
  const home = "usr/lib/vprocfs";
  for (const path of PROGRAM) {
    if (!existsSync(join(project, path))) {
      fail(`${path} is not there: run 'npm run build' first`);
    }
    cpSync(join(project, path), join(root, home, path), { recursive: true, dereference: true });
  }
  for (const name of PROGRAMS) {
    const path = join(root, home, "build/Release", name);
    copyFileSync(join(programs, name), path);
    execFileSync(process.env.STRIP ?? "strip", ["--strip-debug", path]);
    chmodSync(path, name.endsWith(".node") ? 0o644 : 0o755);
  }
  chmodSync(join(root, home, "dist/cli.js"), 0o755);
  copy(root, "packaging/debian/launch", "usr/bin/vprocfs", 0o755);
  link(root, "../lib/vprocfs/build/Release/vprocfs-attach", "usr/bin/vprocfs-attach");
  link(root, "build/Release/vprocfs-attach", `${home}/vprocfs-attach`);
  for (const name of INTEGRATIONS) {
    cpSync(join(project, "packaging", name), join(root, "usr/share/vprocfs", name), {
      recursive: true,
      // The image is built beside the package: docs/guide/kubernetes.md.
      filter: (path) => !path.endsWith(".deb"),
    });
  }
  copy(root, "packaging/systemd/vprocfs-unit", `${home}/vprocfs-unit`, 0o755);
  copy(root, "packaging/oci/vprocfs-runtime", `${home}/vprocfs-runc`, 0o755);
  link(root, "vprocfs-runc", `${home}/vprocfs-crun`);
}

/** What starts containers under names that vprocfs.service cannot know, and so waits by itself. */
const LATER_UNITS = ["systemd-nspawn@", "lxc@", "pve-container@", "podman-kube@"].map(
  (name) => `${name}.service`,
);
const LATER =
  "# Containers start when their files can be mounted.\n[Unit]\nAfter=vprocfs.service lxcfs.service\n";

/** Of an LXCFS: the distribution's, and the one that Zabbly's Incus has for itself. */
const LXCFS_UNITS = ["lxcfs.service", "incus-lxcfs.service"];

function stageServices(root) {
  copy(root, "packaging/systemd/vprocfs.service", "usr/lib/systemd/system/vprocfs.service");
  copy(root, "packaging/systemd/vprocfs-sleep", "usr/lib/systemd/system-sleep/vprocfs", 0o755);
  for (const name of LATER_UNITS) {
    write(root, `usr/lib/systemd/system/${name}.d/10-vprocfs.conf`, LATER);
  }
  const stop = "[Service]\nExecStop=-/usr/lib/vprocfs/relieve-lxcfs\n";
  for (const name of LXCFS_UNITS) {
    write(
      root,
      `usr/lib/systemd/system/${name}.d/10-vprocfs.conf`,
      `# What an LXCFS that ends has in containers would answer nobody any more.\n${stop}`,
    );
  }
  copy(root, "packaging/lxcfs/relieve-lxcfs", "usr/lib/vprocfs/relieve-lxcfs", 0o755);
  for (const kind of ["container", "kube", "pod"]) {
    write(root, `usr/share/containers/systemd/${kind}.d/10-vprocfs.conf`, LATER);
  }
  for (const name of ["run", "finish", "log/run"]) {
    copy(root, `packaging/runit/vprocfs/${name}`, `etc/sv/vprocfs/${name}`, 0o755);
  }
  copy(root, "packaging/debian/vprocfs.toml", "etc/vprocfs/vprocfs.toml");
  write(root, "usr/lib/tmpfiles.d/vprocfs.conf", "d /run/vprocfs 0700 root root -\n");
  // The mount point. Nothing may touch it when something is mounted there, as tmpfiles would.
  mkdirSync(join(root, "var/lib/vprocfs"), { recursive: true, mode: 0o755 });
}

/** The npm packages that the programs hold code of, and their licences, for the copyright file. */
function bundled() {
  const packages = npmPackages().map((path) => {
    const { name, version: its, license } = manifestOf(path);
    const texts = licencesOf(path).map((text) => text.trim().replaceAll(/^/gm, "    "));
    return [`  ${name} ${its}: ${license}`, ...texts].join("\n\n");
  });
  return `\nThe programs hold code of these npm packages:\n\n${packages.join("\n\n")}\n`;
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
  const pages = readdirSync(join(project, "docs"), { recursive: true });
  for (const name of pages.filter((file) => /\.(md|svg)$/.test(file))) {
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
  const earlier = readdirSync(output).filter(
    (file) => file.startsWith(`${name}_`) && file.endsWith(`_${architecture}.deb`),
  );
  for (const file of earlier) {
    rmSync(join(output, file));
  }
  const path = join(output, `${name}_${version}_${architecture}.deb`);
  const compression = [`-Z${option("compression", "xz")}`, "-z3"];
  execFileSync("dpkg-deb", ["--root-owner-group", ...compression, "--build", root, path], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  console.log(path);
}

const programs = resolve(option("programs", join(project, "build/Release")));
const architecture = ARCHITECTURES[arch] ?? fail(`no Debian name for ${arch}`);
if (arch !== process.arch && !process.argv.includes("--programs")) {
  fail(`--architecture ${arch} needs --programs`);
}
const version = option("version", manifest.version);
const output = resolve(option("output", join(project, "build/debian")));
const work = mkdtempSync(join(tmpdir(), "vprocfs-deb-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));
mkdirSync(output, { recursive: true });
process.umask(0o022);
// The benchmark for operators, who have nothing to compile it with.
await bundle("dist/bench");

/** The newest version of a symbol of that kind that a program needs; what is static needs none. */
function newestSymbol(path, kind) {
  const table = execFileSync(process.env.OBJDUMP ?? "objdump", ["-p", path], { encoding: "utf8" });
  const versions = [...table.matchAll(new RegExp(`\\b${kind}_([\\d.]+)`, "g"))].map(([, v]) => v);
  return versions.sort((a, b) => a.localeCompare(b, "en", { numeric: true })).pop() ?? "0";
}

/** Since which release of GCC libstdc++ has the symbols of a version (its manual's ABI history). */
const LIBSTDCXX = [
  ["3.4.28", "9"],
  ["3.4.29", "11"],
  ["3.4.30", "12"],
  ["3.4.31", "13.1"],
  ["3.4.32", "13.2"],
  ["3.4.33", "14"],
  ["3.4.34", "15"],
];

/** What the addon needs of the distribution: by its symbols, not by what it was built with. */
function libraries(addon) {
  const newest = newestSymbol(addon, "GLIBCXX");
  const [, gcc] =
    LIBSTDCXX.find(([version]) => version.localeCompare(newest, "en", { numeric: true }) >= 0) ??
    fail(`the addon needs GLIBCXX_${newest}, and no release of GCC is known to have it`);
  return [`libc6 (>= ${newestSymbol(addon, "GLIBC")})`, `libstdc++6 (>= ${gcc})`];
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
    Depends: [
      "nodejs (>= 20.17) | vprocfs-node",
      ...libraries(join(main, "usr/lib/vprocfs/build/Release/vprocfs.node")),
    ].join(", "),
    Suggests: "curl, lxc, podman",
    Description:
      "files under /proc that show a container its own limits\n" +
      " A FUSE file system with meminfo, stat, cpuinfo, uptime, loadavg and others as each\n" +
      " container should see them, mounted automatically into all containers of a host.",
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

/**
 * The official Node.js for nodes whose distribution has none or an old one, from its npm package:
 * the version and the hash of what is fetched are those of node.json.
 */
function stageNode(root) {
  const { version: node, integrity } = JSON.parse(readFileSync(join(here, "node.json"), "utf8"));
  const name = `node-linux-${arch}`;
  const wanted = integrity[arch] ?? fail(`no Node.js in node.json for ${arch}`);
  const directory = option("cache", join(project, "build/node-binary"));
  const file = join(directory, `${name}-${node}.tgz`);
  const sum = () => `sha512-${createHash("sha512").update(readFileSync(file)).digest("base64")}`;
  if (!existsSync(file) || sum() !== wanted) {
    mkdirSync(directory, { recursive: true });
    try {
      const argv = ["pack", `${name}@${node}`, "--pack-destination", directory, "--silent"];
      execFileSync("npm", argv, { stdio: ["ignore", "ignore", "pipe"] });
    } catch (error) {
      fail(`npm has no ${name}@${node}: ${String(error.stderr ?? error.message).trim()}`);
    }
    if (sum() !== wanted) {
      rmSync(file);
      fail(`${name}@${node} is not what node.json says: its hash differs`);
    }
  }
  const unpacked = join(work, "node-binary");
  mkdirSync(unpacked);
  execFileSync("tar", ["-C", unpacked, "-xzf", file, "package/bin/node", "package/LICENSE"]);
  const program = "usr/lib/vprocfs-node/bin/node";
  mkdirSync(join(root, dirname(program)), { recursive: true, mode: 0o755 });
  cpSync(join(unpacked, "package/bin/node"), join(root, program));
  chmodSync(join(root, program), 0o755);
  write(
    root,
    "usr/share/doc/vprocfs-node/copyright",
    readFileSync(join(unpacked, "package/LICENSE")),
  );
  return { node, needs: `libc6 (>= ${newestSymbol(join(root, program), "GLIBC")}), libstdc++6` };
}

if (process.argv.includes("--with-node")) {
  const root = join(work, "vprocfs-node");
  mkdirSync(root, { mode: 0o755 });
  const { node, needs } = stageNode(root);
  const fields = {
    Package: "vprocfs-node",
    ...common,
    Version: node,
    Architecture: architecture,
    Depends: needs,
    Description:
      "Node.js for vprocfs, where the distribution has none that is new enough\n" +
      " The official program, in a directory of vprocfs's own: nothing else on the node sees it.",
  };
  stageControl(root, fields, ["postinst"]);
  pack(root, "vprocfs-node", node, architecture, output);
}

/**
 * What packages that depend on LXCFS need of it to be installed and to start. A package of its own, so
 * that they stay when vprocfs-lxcfs-compat goes.
 */
const standIn = join(work, "as-lxcfs");
mkdirSync(standIn, { mode: 0o755 });
copy(
  standIn,
  "packaging/debian/vprocfs-as-lxcfs/generator",
  "usr/lib/systemd/system-generators/vprocfs-as-lxcfs",
  0o755,
);
for (const name of ["lxc.mount.hook", "lxc.reboot.hook"]) {
  copy(standIn, `packaging/debian/vprocfs-as-lxcfs/${name}`, `usr/share/lxcfs/${name}`, 0o755);
}
copy(standIn, "LICENSE", "usr/share/doc/vprocfs-as-lxcfs/copyright");
stageControl(
  standIn,
  {
    Package: "vprocfs-as-lxcfs",
    ...common,
    Architecture: "all",
    Provides: `lxcfs (= ${LXCFS})`,
    Conflicts: "lxcfs",
    Replaces: "lxcfs, vprocfs-lxcfs-compat",
    Description:
      "satisfies dependencies on LXCFS with vprocfs\n" +
      " Provides the service and the hooks that packages such as Incus and LXD require.",
  },
  [],
);
pack(standIn, "vprocfs-as-lxcfs", version, "all", output);

const compat = join(work, "compat");
mkdirSync(compat, { mode: 0o755 });
copy(compat, "packaging/lxcfs/lxcfs", "usr/bin/lxcfs", 0o755);
copy(
  compat,
  "packaging/debian/vprocfs-lxcfs-compat/lxcfs.service",
  "usr/lib/systemd/system/lxcfs.service",
);
write(compat, "usr/lib/vprocfs/in-place-of-lxcfs", "");
copy(compat, "docs/guide/from-lxcfs.md", "usr/share/doc/vprocfs-lxcfs-compat/from-lxcfs.md");
copy(compat, "LICENSE", "usr/share/doc/vprocfs-lxcfs-compat/copyright");
mkdirSync(join(compat, "var/lib/lxcfs"), { recursive: true, mode: 0o755 });
stageControl(
  compat,
  {
    Package: "vprocfs-lxcfs-compat",
    ...common,
    Architecture: "all",
    Depends: `vprocfs (>= ${version}), vprocfs-as-lxcfs`,
    // Its program has LXCFS's name.
    Replaces: "lxcfs",
    Description:
      "vprocfs in the place of LXCFS\n" +
      " The command lxcfs and a service of that name, which mount vprocfs on /var/lib/lxcfs.",
  },
  ["postinst", "prerm", "postrm"],
);
pack(compat, "vprocfs-lxcfs-compat", version, "all", output);
