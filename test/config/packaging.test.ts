// The Debian packages as they are built, without installing them: see test/e2e/vm for that.

import {
  copyFileSync,
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
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { settingsFileOf } from "../../src/attach/settings.js";
import { haveProgram, output, run } from "../support/command.js";
import { project } from "../support/project.js";

const lacking = ["dpkg-deb", "unshare", "gzip", "objdump", "strip"].filter(
  (name) => !haveProgram(name),
);
const isRoot = process.getuid?.() === 0;
const missing = [...lacking.map((name) => `no ${name}`), ...(isRoot ? [] : ["not root"])];
const title = missing.length === 0 ? "Debian packages" : `Debian packages (${missing.join(", ")})`;

/** A checkout with nothing but setup.mjs and the lists of npm packages, in a directory of its own. */
function bareCheckout(): { readonly directory: string; readonly checkout: string } {
  const directory = mkdtempSync(join(tmpdir(), "vprocfs-test-setup-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const checkout = join(directory, "checkout");
  mkdirSync(join(checkout, "packaging"), { recursive: true });
  for (const name of ["packaging/setup.mjs", "package.json", "package-lock.json"]) {
    copyFileSync(join(project, name), join(checkout, name));
  }
  return { directory, checkout };
}

function setup(checkout: string, mode: string, env: Readonly<Record<string, string>> = {}) {
  const command = [process.execPath, join(checkout, "packaging/setup.mjs"), mode];
  return run(command, { env: { ...process.env, ...env } });
}

it("setup.mjs empties no directory behind a link", async () => {
  const { directory, checkout } = bareCheckout();
  const others = join(directory, "others");
  mkdirSync(others);
  writeFileSync(join(others, "kept"), "");
  symlinkSync(others, join(checkout, "node_modules"));
  const { status, stderr } = await setup(checkout, "check");
  const why = "node_modules is a symbolic link, and not up to date: remove the link";
  expect({ status, stderr }).toEqual({ status: 1, stderr: `setup: ${why}\n` });
  expect(readdirSync(others)).toEqual(["kept"]);
});

it("setup.mjs names the packages without which nothing static is linked", async () => {
  const { directory, checkout } = bareCheckout();
  for (const path of ["native/main.cc", "binding.gyp", "node_modules/.package-lock.json"]) {
    mkdirSync(dirname(join(checkout, path)), { recursive: true });
    writeFileSync(join(checkout, path), "");
  }
  const compiler = join(directory, "compiler");
  const given = join(directory, "arguments");
  const refusing = `#!/bin/sh\necho "$*" > ${given}\nexit 1\n`;
  writeFileSync(compiler, refusing, { mode: 0o755 });
  const flags = { CPPFLAGS: "-isystem /i", CXXFLAGS: "-O1", LDFLAGS: "-L/l -Wl,-O1" };
  const { status, stdout, stderr } = await setup(checkout, "start", { CXX: compiler, ...flags });
  // As make calls it.
  expect(readFileSync(given, "utf8")).toMatch(/^-isystem \/i -O1 -L\/l -Wl,-O1 -static -o /);
  expect([status, `${stdout}`]).toEqual([1, ""]);
  expect(stderr).toMatch(
    / cannot link static programs: install glibc-static and libstdc\+\+-static /,
  );
});

describe.runIf(missing.length === 0)(title, () => {
  let directory = "";
  let root = "";
  let compat = "";
  let standIn = "";

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "vprocfs-test-deb-"));
    // Without a network.
    const build = ["unshare", "--net", process.execPath, "packaging/debian/build.mjs"];
    const options = ["--output", directory, "--compression", "gzip"];
    await output([...build, ...options], { cwd: project });
    const named = (start: string): string =>
      join(directory, readdirSync(directory).find((name) => name.startsWith(start)) ?? start);
    [root, compat] = [join(directory, "root"), join(directory, "compat")];
    standIn = join(directory, "as-lxcfs");
    await output(["dpkg-deb", "-R", named("vprocfs_"), root]);
    await output(["dpkg-deb", "-R", named("vprocfs-lxcfs-compat_"), compat]);
    await output(["dpkg-deb", "-R", named("vprocfs-as-lxcfs_"), standIn]);
  }, 120_000);

  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const text = (path: string): string => readFileSync(join(root, path), "utf8");

  it("hold programs that run from there", async () => {
    const manifest = JSON.parse(readFileSync(join(project, "package.json"), "utf8"));
    const cli = join(root, "usr/lib/vprocfs/dist/cli.js");
    expect(await output([process.execPath, cli, "--version"])).toBe(`${manifest.version}\n`);
    const helper = join(root, "usr/lib/vprocfs/build/Release/vprocfs-attach");
    expect((await run([helper])).status).toBe(2);
    expect(statSync(join(root, "usr/lib/vprocfs/build/Release/vprocfs-keeper")).mode & 0o7777).toBe(
      0o755,
    );
    expect(text("DEBIAN/control")).toMatch(
      /^Depends: nodejs \(.*\) \| vprocfs-node, libc6 \(>= \d/m,
    );
    const fields = readFileSync(join(standIn, "DEBIAN/control"), "utf8");
    for (const field of ["Provides: lxcfs (=", "Conflicts: lxcfs\n", "Replaces: lxcfs,"]) {
      expect(fields).toContain(field);
    }
  });

  it("hold no part of a program that another version's could take for its own", () => {
    const home = join(root, "usr/lib/vprocfs/dist");
    const files = readdirSync(home).filter((name) => name.endsWith(".js"));
    // Not those in comments.
    const loads = /^(?!\s*\*).*\b(?:from|import)[ (]"\.\/([^"]+)"/gm;
    const parts = files.flatMap((name) =>
      [...readFileSync(join(home, name), "utf8").matchAll(loads)].map(([, part = ""]) => part),
    );
    expect(parts).toContainEqual(expect.stringMatching(/^cli-start-/));
    expect(parts.filter((part) => !/-[0-9a-f]{8}\.js$/.test(part))).toEqual([]);
  });

  it.runIf(haveProgram("apt-get"))("can be removed without Incus, which needs LXCFS", async () => {
    const incus = [
      "Package: incus",
      "Version: 6.0.4",
      "Architecture: all",
      "Depends: lxcfs (>= 6.0.3)",
    ];
    const control = (of: string): string[] =>
      readFileSync(join(of, "DEBIAN/control"), "utf8").split("\n").filter(Boolean);
    const nodes = [[...incus, "Maintainer: none", "Description: containers"]];
    // What it is linked with is there.
    const own = control(root).filter((line) => !line.startsWith("Depends:"));
    const installed = [...nodes, own, control(standIn), control(compat)].map((fields) =>
      [...fields, "Status: install ok installed", ""].join("\n"),
    );
    const place = join(directory, "apt");
    for (const name of ["lists/partial", "archives/partial"]) {
      mkdirSync(join(place, name), { recursive: true });
    }
    writeFileSync(join(place, "status"), `${installed.join("\n")}\n`);
    const options = [
      `Dir::State::status=${place}/status`,
      `Dir::State::Lists=${place}/lists`,
      `Dir::Cache=${place}`,
    ].flatMap((option) => ["-o", option]);
    const remove = (...names: string[]) =>
      output(["apt-get", ...options, "-s", "remove", ...names]).then((said) =>
        [...said.matchAll(/^Remv (\S+)/gm)].map(([, name]) => name),
      );
    expect(await remove("vprocfs-lxcfs-compat")).toEqual(["vprocfs-lxcfs-compat"]);
    expect((await remove("vprocfs")).sort()).toEqual(["vprocfs", "vprocfs-lxcfs-compat"]);
  });

  it("hold an addon that runs with the C library of Ubuntu 22.04", async () => {
    const addon = join(root, "usr/lib/vprocfs/build/Release/vprocfs.node");
    const symbols = await output(["objdump", "-T", addon]);
    const needed = (kind: string): string =>
      [...symbols.matchAll(new RegExp(`\\b${kind}_([\\d.]+)`, "g"))]
        .map(([, version = ""]) => version)
        .sort((a, b) => a.localeCompare(b, "en", { numeric: true }))
        .pop() ?? "";
    const [libc, libstdcxx] = [needed("GLIBC"), needed("GLIBCXX")];
    expect(libc.localeCompare("2.35", "en", { numeric: true })).toBeLessThanOrEqual(0);
    expect(libstdcxx.localeCompare("3.4.30", "en", { numeric: true })).toBeLessThanOrEqual(0);
    expect(text("DEBIAN/control")).toContain(`libc6 (>= ${libc}), libstdc++6 (>= `);
  });

  it("start vprocfs by vprocfs-node's Node.js where there is one, and else by the node's", async () => {
    const place = join(directory, "place");
    const packaged = join(place, "bin/node");
    const launch = text("usr/bin/vprocfs")
      .replaceAll("/usr/lib/", `${place}/`)
      .replaceAll("/usr/bin/node", packaged);
    const own = join(place, "vprocfs-node/bin/node");
    const path = join(directory, "path");
    const keeper = join(place, "vprocfs/build/Release/vprocfs-keeper");
    for (const [file, says] of [
      [keeper, "the keeper:"],
      [own, "ours"],
      [packaged, "the package's"],
      [join(path, "node"), "another"],
    ] as const) {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, `#!/bin/sh\necho "${says} $*"\n`, { mode: 0o755 });
    }
    const start = (...words: string[]) =>
      output(["sh", "-c", launch, "sh", ...words], { env: { PATH: `${path}:/bin` } });
    const cli = `${place}/vprocfs/dist/cli.js`;
    expect(await start("a b")).toBe(`ours ${cli} a b\n`);
    expect(await start("run", "/x")).toBe(`the keeper: --launch 1 -- ${own} ${cli} run /x\n`);
    rmSync(own);
    expect(await start("a b")).toBe(`the package's ${cli} a b\n`);
    rmSync(packaged);
    expect(await start("a b")).toBe(`another ${cli} a b\n`);
  });

  it.each(["lxcfs", "incus-lxcfs"])("have LXCFS relieved before it stops: %s", (name) => {
    const dropIn = text(`usr/lib/systemd/system/${name}.service.d/10-vprocfs.conf`);
    const [, script = ""] = /^ExecStop=-(.*)$/m.exec(dropIn) ?? [];
    expect(text(script.slice(1))).toContain("attach --all");
  });

  it("measure and run without npm packages, and have nothing of the tests", async () => {
    const home = join(root, "usr/lib/vprocfs");
    const help = await output([process.execPath, join(home, "dist/cli.js"), "bench", "--help"]);
    expect(help).toContain("--show <FILE>");
    expect(existsSync(join(home, "node_modules"))).toBe(false);
    expect(readdirSync(join(home, "build/Release")).sort()).toEqual([
      "vprocfs-attach",
      ...(["x64", "arm64"].includes(process.arch) ? ["vprocfs-hook"] : []),
      "vprocfs-keeper",
      "vprocfs-writer",
      "vprocfs.node",
    ]);
  });

  it("name every command in the manual, and every key of the configuration", async () => {
    const page = await output(["gzip", "-dc", join(root, "usr/share/man/man8/vprocfs.8.gz")]);
    for (const name of ["run", "attach", "detach", "install-hooks", "status", "reload"]) {
      expect(page).toContain(`.SS vprocfs ${name.replaceAll("-", "\\-")}`);
    }
    const keys = await output(["gzip", "-dc", join(root, "usr/share/man/man5/vprocfs.toml.5.gz")]);
    expect(keys).toContain(".B attach\\-exclude");
  });

  it.runIf(haveProgram("mandoc"))(
    "have manual pages that mandoc has nothing to say against",
    async () => {
      for (const page of ["man8/vprocfs.8.gz", "man5/vprocfs.toml.5.gz"]) {
        const path = join(root, "usr/share/man", page);
        const outcome = await run(["mandoc", "-T", "lint", "-W", "warning", path]);
        expect(`${outcome.stdout}${outcome.stderr}`).toBe("");
      }
    },
  );

  it.runIf(haveProgram("bash"))("complete commands, options and their values in bash", async () => {
    const file = join(root, "usr/share/bash-completion/completions/vprocfs");
    const complete = (...words: string[]) => {
      const list = words.map((word) => `'${word}'`).join(" ");
      const script = `. "$0"; COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _vprocfs; echo "\${COMPREPLY[@]}"`;
      return output(["bash", "-c", script, file]);
    };
    expect(await complete("vprocfs", "det")).toBe("detach\n");
    expect(await complete("vprocfs", "run", "--attach-e")).toBe("--attach-exclude\n");
    expect(await complete("vprocfs", "run", "--watch", "o")).toBe("on off\n");
  });

  it.runIf(haveProgram("fish"))("complete them in fish", async () => {
    const file = join(root, "usr/share/fish/vendor_completions.d/vprocfs.fish");
    const complete = (line: string) => {
      const script = `source ${file}; complete -C '${line}'`;
      return output(["fish", "--no-config", "-c", script]);
    };
    expect(await complete("vprocfs det")).toMatch(/^detach\t/);
    expect(await complete("vprocfs run --attach-e")).toMatch(/^--attach-exclude\t/m);
    expect(await complete("vprocfs run --watch o")).toMatch(/^off\t/m);
  });

  it("complete names of containers in every shell", async () => {
    const bin = join(directory, "bin");
    mkdirSync(bin, { recursive: true });
    // A tenant chooses names of cgroups: no shell may run what is in them, nor insert what it would run on Enter.
    const ran = join(directory, "ran");
    const hostile = [
      `w$(touch\${IFS}${ran})`,
      `w\`touch\${IFS}${ran}\``,
      "w'",
      'w"',
      "w;id",
      "--all",
    ];
    const rows = ["web1", ...hostile, "web2"].map((name, row) => `c${row} ${name}`);
    writeFileSync(join(bin, "table"), ["ID NAME", ...rows, ""].join("\n"));
    const fake = `#!/bin/sh\nexec cat '${join(bin, "table")}'\n`;
    writeFileSync(join(bin, "vprocfs"), fake, { mode: 0o755 });
    const env = { ...process.env, PATH: `${bin}:${process.env.PATH}` };
    const bash = join(root, "usr/share/bash-completion/completions/vprocfs");
    for (const command of ["attach", "detach", "show", "dmesg", "explain", "doctor", "check"]) {
      const script = `. ${bash}; COMP_WORDS=(vprocfs ${command} w); COMP_CWORD=2; _vprocfs; echo "\${COMPREPLY[@]}"`;
      expect(await output(["bash", "-c", script], { env })).toBe("web1 web2\n");
      expect(text("usr/share/zsh/vendor-completions/_vprocfs")).toMatch(
        new RegExp(`^ +${command}\\) .*:_vprocfs_containers' ;;$`, "m"),
      );
    }
    if (haveProgram("fish")) {
      const fish = join(root, "usr/share/fish/vendor_completions.d/vprocfs.fish");
      const line = `source ${fish}; complete -C 'vprocfs doctor w'`;
      expect(await output(["fish", "--no-config", "-c", line], { env })).toBe("web1\nweb2\n");
    }
    if (haveProgram("zsh")) {
      const zsh = text("usr/share/zsh/vendor-completions/_vprocfs");
      const names = zsh.slice(zsh.indexOf("_vprocfs_containers()"), zsh.indexOf("_vprocfs() {"));
      const line = `compadd() { shift; print -r -- $@; }; ${names}; _vprocfs_containers`;
      expect(await output(["zsh", "-f", "-c", line], { env })).toBe("web1 web2\n");
    }
    expect(existsSync(ran)).toBe(false);
  });

  it.each([
    ["zsh", "usr/share/zsh/vendor-completions/_vprocfs", ["zsh", "-n"]],
    ["fish", "usr/share/fish/vendor_completions.d/vprocfs.fish", ["fish", "-n"]],
  ])("complete in %s", async (shell, path, check) => {
    expect(text(path)).toContain("install-hooks");
    if (haveProgram(shell)) {
      await output([...check, join(root, path)]);
    }
  });

  it("have scripts and units that are well-formed", async () => {
    for (const [tree, names] of [
      [root, ["postinst", "prerm", "postrm"]],
      [compat, ["postinst", "prerm", "postrm"]],
    ] as const) {
      for (const name of names) {
        await output(["sh", "-n", join(tree, "DEBIAN", name)]);
      }
    }
    const unit = text("usr/lib/systemd/system/vprocfs.service");
    const hook = join(root, "usr/lib/systemd/system-sleep/vprocfs");
    expect(statSync(hook).mode & 0o7777).toBe(0o755);
    expect(unit).toContain("ExecStart=/usr/bin/vprocfs run");
    // What gives a service a mount namespace would keep the mount from the host.
    expect(unit).not.toMatch(/^(?:Private(?:Tmp|Devices|Mounts)|Protect\w+|ReadOnlyPaths)=/m);
    const other = readFileSync(join(compat, "usr/lib/systemd/system/lxcfs.service"), "utf8");
    // Of the settings of both, wherever /var/lib is.
    const [, glob = ""] = /^ConditionPathExistsGlob=\|(.*)$/m.exec(other) ?? [];
    const matches = "case $1 in $2) echo yes ;; *) echo no ;; esac";
    for (const [place, answer] of [
      ["/var/lib/lxcfs", "yes\n"],
      ["/data/lib/lxcfs", "yes\n"],
      ["/var/lib/vprocfs", "no\n"],
    ] as const) {
      expect(await output(["sh", "-c", matches, "sh", settingsFileOf(place), glob])).toBe(answer);
    }
    const order = (of: string): string[] =>
      of
        .split("\n")
        .filter((line) =>
          /^(?:Before|After|DefaultDependencies|WatchdogSec|RestartKillSignal)=/.test(line),
        );
    expect(order(other)).toEqual(order(unit));
    // The keeper's signal to leave the mount to the next one.
    expect(order(unit)).toContain("RestartKillSignal=SIGRTMIN");
    expect(order(unit).join(" ")).toMatch(
      /docker.*incus-startup.*lxd.*machines.target.*kubelet.*snap.docker.dockerd/,
    );
    for (const path of [
      "systemd/system/systemd-nspawn@.service.d",
      "systemd/system/lxc@.service.d",
    ]) {
      expect(text(`usr/lib/${path}/10-vprocfs.conf`)).toContain("\nAfter=vprocfs.service");
    }
  });
});
