import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { release, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { CALL_MODES, type CallMode, callFiles, usersLeftOut } from "../../src/attach/call-files.js";
import { checkPlaces, hookFiles, MARK, STARTER } from "../../src/attach/hook-files.js";
import { type HookOptions, installHooks, uninstallHooks } from "../../src/attach/hooks.js";
import { main } from "../../src/program.js";
import { checkCallFiles } from "../../src/tools/daemon-checks.js";
import { collecting, type Outcome } from "../support/fake-binding.js";

vi.mock("node:os", async (importOriginal) => {
  const os = await importOriginal<typeof import("node:os")>();
  return { ...os, release: vi.fn(os.release) };
});

const files = hookFiles({
  helper: "/usr/lib/vprocfs/vprocfs-attach",
  program: ["/usr/bin/vprocfs"],
  mountpoint: "/var/lib/vprocfs",
  settings: "/run/vprocfs/var%2Flib%2Fvprocfs.attach",
});

let root: string;

function options(change: Partial<HookOptions> = {}): HookOptions {
  return { dryRun: false, kinds: [], root, ...change };
}

function states(outcomes: ReturnType<typeof installHooks>): string[] {
  return outcomes.map(({ kind, state }) => `${kind} ${state}`);
}

function make(path: string, text?: string): void {
  mkdirSync(text === undefined ? join(root, path) : dirname(join(root, path)), { recursive: true });
  if (text !== undefined) {
    writeFileSync(join(root, path), text);
  }
}

beforeEach(() => {
  const made = mkdtempSync(join(tmpdir(), "vprocfs-hooks-"));
  root = made;
  onTestFinished(() => rmSync(made, { recursive: true }));
});

describe("hooks", () => {
  it("are written for what is installed, and go without a trace", () => {
    make("/usr/share/lxc/config/common.conf.d");
    make("/etc/containers/policy.json", "{}");
    const written = ["lxc written", "oci written", "nspawn not needed"];
    expect(states(installHooks(files, options({ dryRun: true })))).toEqual(written);
    expect(existsSync(join(root, "/usr/share/containers/oci"))).toBe(false);
    expect(states(installHooks(files, options()))).toEqual(written);
    expect(states(installHooks(files, options()))).toEqual([
      "lxc unchanged",
      "oci unchanged",
      "nspawn not needed",
    ]);
    expect(states(uninstallHooks(files, options()))).toEqual([
      "lxc removed",
      "oci removed",
      "nspawn absent",
    ]);
    expect(existsSync(join(root, "/usr/share/containers/oci"))).toBe(false);
    expect(existsSync(join(root, "/etc/containers/policy.json"))).toBe(true);
  });

  describe("with a program that starts the helper", () => {
    const HOOK = "/usr/share/containers/oci/hooks.d/20-vprocfs.json";
    const withStarter = hookFiles({
      helper: "/usr/lib/vprocfs/vprocfs-attach",
      starter: `\x7fELF\xff ${MARK}`,
      program: ["/usr/bin/vprocfs"],
      mountpoint: "/var/lib/vprocfs",
      settings: "/run/x.attach",
    });

    beforeEach(() => {
      make("/etc/containers");
      installHooks(withStarter, options());
    });

    it("have no shell, and leave it for containers that were made with it", () => {
      expect(statSync(join(root, STARTER)).mode & 0o777).toBe(0o755);
      expect(readFileSync(join(root, STARTER), "latin1")).toBe(`\x7fELF\xff ${MARK}`);
      const { hook } = JSON.parse(readFileSync(join(root, HOOK), "utf8"));
      expect([hook.path, hook.args[1]]).toEqual([STARTER, "/usr/lib/vprocfs/vprocfs-attach"]);
      const again = states(installHooks(withStarter, options()));
      expect(again.filter((one) => one.startsWith("oci"))).toEqual([
        "oci unchanged",
        "oci unchanged",
      ]);
      const gone = states(uninstallHooks(withStarter, options()));
      expect(gone.filter((one) => one.startsWith("oci"))).toEqual(["oci left", "oci removed"]);
      expect(existsSync(join(root, STARTER))).toBe(true);
    });

    it("write it also where only the file that is to name it was there, and no runtime is", () => {
      for (const path of ["/etc/containers", STARTER, HOOK]) {
        rmSync(join(root, path), { recursive: true });
      }
      // As a version without a starter wrote it.
      installHooks(files, options({ kinds: ["oci"] }));
      const brought = ["lxc not needed", "oci written", "oci updated", "nspawn not needed"];
      expect(states(installHooks(withStarter, options()))).toEqual(brought);
      const { hook } = JSON.parse(readFileSync(join(root, HOOK), "utf8"));
      expect(existsSync(join(root, hook.path))).toBe(true);
    });

    it("are not written again because of what stayed of them", () => {
      rmSync(join(root, "/etc/containers"), { recursive: true });
      uninstallHooks(withStarter, options());
      const left = ["lxc not needed", "oci unchanged", "oci not needed", "nspawn not needed"];
      expect(states(installHooks(withStarter, options()))).toEqual(left);
    });

    it("leave a foreign program alone", () => {
      writeFileSync(join(root, STARTER), "theirs");
      const outcomes = uninstallHooks(withStarter, options());
      expect(outcomes.find((one) => one.path === STARTER)?.state).toBe("foreign");
      expect(readFileSync(join(root, STARTER), "utf8")).toBe("theirs");
    });
  });

  it("are written where they are asked for", () => {
    const outcomes = installHooks(files, options({ kinds: ["nspawn"] }));
    expect(states(outcomes)).toEqual(["lxc not needed", "oci not needed", "nspawn written"]);
  });

  it("never touch files of others", () => {
    const path = "/usr/share/containers/oci/hooks.d/20-vprocfs.json";
    make(path, "theirs");
    expect(states(installHooks(files, options()))[1]).toBe("oci foreign");
    expect(states(uninstallHooks(files, options()))[1]).toBe("oci foreign");
    expect(readFileSync(join(root, path), "utf8")).toBe("theirs");
    expect(states(installHooks(files, options({ kinds: ["lxc"] })))[1]).toBe("oci not needed");
  });

  it("take the place of empty JSON files, which a crash may leave", () => {
    const path = "/usr/share/containers/oci/hooks.d/20-vprocfs.json";
    make("/etc/containers");
    make(path, "");
    expect(states(uninstallHooks(files, options({ dryRun: true })))[1]).toBe("oci removed");
    expect(states(installHooks(files, options()))[1]).toBe("oci updated");
    expect(readFileSync(join(root, path), "utf8")).toContain(MARK);
  });

  it("leave an empty file alone that an administrator may want so", () => {
    const [lxc] = files;
    make(lxc?.path ?? "", "");
    expect(states(installHooks(files, options({ kinds: ["lxc"] })))[0]).toBe("lxc foreign");
    expect(states(uninstallHooks(files, options({ kinds: ["lxc"] })))[0]).toBe("lxc foreign");
  });

  it("are brought up to date", () => {
    installHooks(files, options({ kinds: ["lxc"] }));
    const [lxc] = files;
    const path = join(root, lxc?.path ?? "");
    writeFileSync(path, `${readFileSync(path, "utf8")}# older\n`);
    expect(states(installHooks(files, options({ kinds: ["lxc"] })))[0]).toBe("lxc updated");
  });

  it("are brought up to date also where they were asked for once", () => {
    installHooks(files, options({ kinds: ["oci"] }));
    const [, oci] = files;
    const path = join(root, oci?.path ?? "");
    const current = readFileSync(path, "utf8");
    writeFileSync(path, current.replaceAll("vprocfs-attach", "former-attach"));
    const brought = ["lxc not needed", "oci updated", "nspawn not needed"];
    expect(states(installHooks(files, options()))).toEqual(brought);
    expect(readFileSync(path, "utf8")).toBe(current);
  });

  it("say what cannot be written", () => {
    make("/etc/containers/policy.json", "");
    make("/usr/share/containers/oci", "a file");
    const [, oci] = installHooks(files, options());
    expect(oci).toMatchObject({ state: "failed", reason: expect.stringContaining("ENOTDIR") });
  });

  it("refuse paths that a shell would read otherwise", () => {
    const places = { helper: "/a b", program: ["/x"], mountpoint: "/m", settings: "/s" };
    expect(() => checkPlaces(places)).toThrow("hooks cannot use '/a b'");
  });
});

describe.runIf(process.getuid?.() === 0)("uninstall-hooks", () => {
  const LXC = "/usr/share/lxc/config/common.conf.d/20-vprocfs.conf";

  async function uninstall(toml: string, ...argv: string[]) {
    const outcome: Outcome = { out: "", err: "", status: 0 };
    const warnings: string[] = [];
    make("/vprocfs.toml", toml);
    installHooks(files, options({ kinds: ["lxc"] }));
    const context = { ...collecting(outcome), configFile: join(root, "/vprocfs.toml") };
    await main(
      ["uninstall-hooks", "--root", root, ...argv],
      { ...context, warn: (line) => warnings.push(line) },
      (line) => {
        outcome.err += line;
      },
    );
    return { ...outcome, warnings, isThere: existsSync(join(root, LXC)) };
  }

  it.each([
    ["does not load", "no-such-key = 1\n", [expect.stringMatching(/no-such-key.*with defaults$/)]],
    ["names a mount point that hooks cannot use", 'mountpoint = "/a b"\n', []],
  ])("removes them with a configuration that %s", async (_, toml, warnings) => {
    const { out, ...rest } = await uninstall(toml);
    expect(rest).toEqual({ err: "", status: 0, warnings, isThere: false });
    expect(out).toContain(`${LXC}: removed`);
  });

  it("removes them also where it cannot be remembered that none are wanted", async () => {
    make("/etc/vprocfs/no-hooks/in-the-way");
    const { status, warnings, isThere } = await uninstall("");
    expect({ status, isThere }).toEqual({ status: 0, isThere: false });
    expect(warnings).toEqual([
      expect.stringMatching(/^the package's next upgrade will not know of this: E/),
    ]);
  });

  it("refuses flags that are wrong", async () => {
    const { status, isThere } = await uninstall("", "--mountpoint", "here");
    expect({ status, isThere }).toEqual({ status: 2, isThere: true });
  });
});

describe("what hands system calls over", () => {
  const DEFAULT = "/usr/share/containers/seccomp.json";
  const OVERRIDE = "/etc/containers/seccomp.json";
  const PROFILE = "/etc/containers/vprocfs-seccomp.json";
  const POLICY = "/etc/vprocfs/calls.seccomp";

  function callsOf(mode: CallMode, names = ["sysinfo"]) {
    return callFiles({ directory: "/run/vprocfs/calls", names, mark: MARK, root }, mode);
  }

  function read(path: string): string {
    return readFileSync(join(root, path), "utf8");
  }

  beforeEach(() => {
    make("/usr/share/lxc/config/common.conf.d");
    make("/etc/containers");
    make(DEFAULT, '{"defaultAction":"SCMP_ACT_ERRNO"}');
  });

  it("is podman's own profile but for the calls", () => {
    const allow = { names: ["read", "sysinfo", "write"], action: "SCMP_ACT_ALLOW", args: [] };
    const only = { names: ["sysinfo"], action: "SCMP_ACT_ALLOW", includes: { caps: ["CAP_X"] } };
    make(
      DEFAULT,
      JSON.stringify({ defaultAction: "SCMP_ACT_ERRNO", archMap: [], syscalls: [allow, only] }),
    );
    installHooks(callsOf("chosen"), options());
    expect(JSON.parse(read(PROFILE))).toMatchObject({
      defaultAction: "SCMP_ACT_ERRNO",
      archMap: [],
      listenerPath: "/run/vprocfs/calls/oci.sock",
      syscalls: [
        { ...allow, names: ["read", "write"] },
        { names: ["sysinfo"], action: "SCMP_ACT_NOTIFY" },
      ],
    });
  });

  it("is told of in a line where nothing is done, and whole in JSON", async () => {
    make("/vprocfs.toml", "");
    const show = async (...more: string[]): Promise<Outcome> => {
      const outcome: Outcome = { out: "", err: "", status: 0 };
      await main(
        ["install-hooks", "--root", root, "--dry-run", "--sysinfo", "chosen", ...more],
        { ...collecting(outcome), configFile: join(root, "/vprocfs.toml") },
        (line) => {
          outcome.err += line;
        },
      );
      return outcome;
    };
    const { out, status } = await show();
    expect(out.split("oci: ").at(-1)?.split("\n").slice(0, 2)).toEqual([
      `${PROFILE}: would be written`,
      expect.stringMatching(/^ {4}\(.*seccomp.json, but sysinfo, .* handed over to .*oci.sock\)$/),
    ]);
    expect({ status, whole: out.includes("SCMP_ACT_NOTIFY") }).toEqual({ status: 0, whole: false });
    expect((await show("--json")).out).toContain("SCMP_ACT_NOTIFY");
    expect(existsSync(join(root, PROFILE))).toBe(false);
  });

  it.each(CALL_MODES)(
    "is refused with %s where calls could not be left to the kernel",
    async (mode) => {
      make("/vprocfs.toml", "");
      vi.mocked(release).mockReturnValue("5.4.0-200-generic");
      onTestFinished(() => void vi.mocked(release).mockReset());
      const install = async (...more: string[]): Promise<Outcome> => {
        const outcome: Outcome = { out: "", err: "", status: 0 };
        await main(
          ["install-hooks", "--root", root, "--dry-run", ...more],
          { ...collecting(outcome), configFile: join(root, "/vprocfs.toml") },
          (line) => {
            outcome.err += line;
          },
        );
        return outcome;
      };
      const { err, status } = await install("--sysinfo", mode);
      expect([err, status]).toEqual([expect.stringContaining("--sysinfo needs Linux 5.5"), 1]);
      expect((await install()).status).toBe(0);
    },
  );

  it("is LXC's own policy with the calls at its end", () => {
    make("/usr/share/lxc/config/common.seccomp", "2\ndenylist\n[all]\nkexec_load errno 1\n");
    installHooks(callsOf("chosen", ["sysinfo", "sched_getaffinity"]), options());
    expect(read(POLICY)).toBe(
      `2\ndenylist\n[all]\nkexec_load errno 1\n# ${MARK}\n[all]\nsysinfo notify\nsched_getaffinity notify\n`,
    );
    expect(read("/etc/vprocfs/lxc-calls.conf")).toContain(
      "lxc.seccomp.notify.proxy = unix:/run/vprocfs/calls/lxc.sock\n",
    );
  });

  it("is for all containers only when that is asked for, and goes without a trace", () => {
    make("/etc/vprocfs/vprocfs.toml", "");
    const active = [
      "/usr/share/lxc/config/common.conf.d/30-vprocfs-calls.conf",
      "/etc/containers/containers.conf.d/30-vprocfs-calls.conf",
    ];
    installHooks(callsOf("chosen"), options());
    expect(active.map((path) => existsSync(join(root, path)))).toEqual([false, false]);
    installHooks(callsOf("all"), options());
    expect(active.map((path) => existsSync(join(root, path)))).toEqual([true, true]);
    uninstallHooks(callsOf("all"), options());
    for (const path of [...active, PROFILE, POLICY, "/etc/containers/containers.conf.d"]) {
      expect(existsSync(join(root, path)), path).toBe(false);
    }
    expect(existsSync(join(root, "/etc/vprocfs/vprocfs.toml"))).toBe(true);
  });

  it("stays where users other than root may have containers that name it", () => {
    make("/etc/subuid", "root:100000:65536\n");
    installHooks(callsOf("chosen"), options());
    uninstallHooks(callsOf("all"), options());
    expect(existsSync(join(root, POLICY))).toBe(false);
    make("/etc/subuid", "root:100000:65536\nalice:165536:65536\n");
    installHooks(callsOf("chosen"), options());
    expect(states(uninstallHooks(callsOf("all"), options())).slice(0, 2)).toEqual([
      "lxc left",
      "lxc left",
    ]);
    expect(read(POLICY)).toMatch(/left for configurations that include it\.\n$/);
    // No file lists those of a directory service.
    make("/etc/subuid", "root:100000:65536\n");
    const isLeft = (sources: string): boolean => {
      make("/etc/nsswitch.conf", `passwd: files sss\n${sources}\n`);
      installHooks(callsOf("chosen"), options());
      uninstallHooks(callsOf("all"), options());
      return existsSync(join(root, POLICY));
    };
    expect(["subid: sss", "subid:\tfiles sss # all"].map(isLeft)).toEqual([true, true]);
    expect(["", "subid: files # sss", "#subid: sss"].map(isLeft)).toEqual([false, false, false]);
  });

  it.each([
    ["/etc/lxc/default.conf", "="],
    ["/var/lib/lxc/web1/config", "="],
    ["/etc/pve/nodes/pve2/lxc/101.conf", ":"],
  ])("leaves its policy with LXC's own rules where %s names it", (config, is) => {
    const rules = "2\ndenylist\n[all]\nkexec_load errno 1\n";
    make("/usr/share/lxc/config/common.seccomp", rules);
    make(config, `lxc.seccomp.profile${is} ${POLICY}\n`);
    installHooks(callsOf("chosen", ["sysinfo", "syslog"]), options());
    expect(states(uninstallHooks(callsOf("all"), options()))[0]).toBe("lxc left");
    const left = read(POLICY);
    expect(left).toBe(
      `${rules}# ${MARK}\n[all]\n# ${MARK}: left for configurations that include it.\n`,
    );
    expect(states(uninstallHooks(callsOf("all"), options()))[0]).toBe("lxc left");
    expect(read(POLICY)).toBe(left);
    expect(states(installHooks(callsOf("chosen"), options()))[0]).toBe("lxc updated");
  });

  const CALLS_OFF = { calls: "off", engine: "native" } as const;

  it.each([
    ['calls = "off"', CALLS_OFF],
    ['engine = "fuse-native"', { calls: "on", engine: "fuse-native" } as const],
  ])("is not for all containers with %s, which answers nothing", async (line, config) => {
    make("/vprocfs.toml", `${line}\n`);
    const ask = async (mode: CallMode): Promise<Outcome> => {
      const outcome: Outcome = { out: "", err: "", status: 0 };
      await main(
        ["install-hooks", "--root", root, "--dry-run", "--sysinfo", mode],
        { ...collecting(outcome), configFile: join(root, "/vprocfs.toml") },
        (text) => {
          outcome.err += text;
        },
      );
      return outcome;
    };
    expect(await ask("all")).toEqual({
      out: "",
      err: `--sysinfo all: with ${line} vprocfs answers no system calls, and no container of LXC or podman would start`,
      status: 2,
    });
    expect(await ask("chosen")).toMatchObject({ err: "", status: 0 });
    // Switched off later, which the doctor tells.
    installHooks(callsOf("chosen"), options());
    expect(checkCallFiles(config, root)).toEqual([]);
    installHooks(callsOf("all"), options());
    expect(checkCallFiles({ calls: "on", engine: "native" }, root)).toEqual([]);
    expect(checkCallFiles(config, root)).toMatchObject([
      { level: "problem", what: expect.stringContaining(`30-vprocfs-calls.conf), which ${line}`) },
    ]);
  });

  it.each(CALL_MODES)("with --sysinfo %s is said not to be for all on Proxmox", async (mode) => {
    make("/vprocfs.toml", "");
    const warningsOf = async (): Promise<string[]> => {
      const warnings: string[] = [];
      const context = {
        ...collecting({ out: "", err: "", status: 0 }),
        configFile: join(root, "/vprocfs.toml"),
        warn: (line: string) => warnings.push(line),
      };
      await main(
        ["install-hooks", "--root", root, "--dry-run", "--sysinfo", mode],
        context,
        (line) => warnings.push(line),
      );
      return warnings;
    };
    expect(await warningsOf()).toEqual([]);
    make("/etc/pve");
    const warning = /^unprivileged containers of Proxmox hand no system calls over.*sysinfo.md/;
    const expected = mode === "all" ? [expect.stringMatching(warning)] : [];
    expect(await warningsOf()).toEqual(expected);
  });

  it("is not there for all because of a file of others", () => {
    make("/etc/containers/containers.conf.d/30-vprocfs-calls.conf", "theirs\n");
    expect(checkCallFiles(CALLS_OFF, root)).toEqual([]);
  });

  it("is made from the administrator's own default for podman, where there is one", () => {
    make(OVERRIDE, '{"defaultAction":"SCMP_ACT_KILL"}');
    installHooks(callsOf("chosen"), options());
    expect(JSON.parse(read(PROFILE))).toMatchObject({ defaultAction: "SCMP_ACT_KILL" });
  });

  it("is named by nothing where it cannot be written", () => {
    make(PROFILE);
    const outcomes = installHooks(callsOf("all"), options());
    expect(states(outcomes).filter((state) => state.startsWith("oci"))).toEqual([
      "oci failed",
      "oci failed",
    ]);
    expect(outcomes.at(-1)?.reason).toBe(`needs ${PROFILE}`);
    expect(existsSync(join(root, "/etc/containers/containers.conf.d"))).toBe(false);
  });

  it.each([
    ["a default profile that is none", "{", /^\/usr\/share\/containers\/seccomp.json: no seccomp/],
    ["nothing", undefined, /^no seccomp profile to start from: install .*-containers-common/],
  ])("is not made from %s, and nothing names it", (_, text, reason) => {
    rmSync(join(root, DEFAULT));
    if (text !== undefined) {
      make(DEFAULT, text);
    }
    const outcomes = installHooks(callsOf("all"), options());
    expect(states(outcomes)).toEqual([
      "lxc written",
      "lxc written",
      "oci failed",
      "lxc written",
      "oci failed",
    ]);
    const reasons = outcomes.map((outcome) => outcome.reason).filter(Boolean);
    expect(reasons).toEqual([expect.stringMatching(reason), `needs ${PROFILE}`]);
    expect(existsSync(join(root, PROFILE))).toBe(false);
    expect(existsSync(join(root, "/etc/containers/containers.conf.d"))).toBe(false);
    rmSync(join(root, "/etc/containers"), { recursive: true });
    expect(states(installHooks(callsOf("all"), options()))).toContain("oci not needed");
  });

  it("names the users whose containers cannot connect, once it is there for all", () => {
    make("/etc/subuid", "root:1:2\nann:100000:65536\nbob:165536:65536\nann:300000:65536\n");
    installHooks(callsOf("chosen"), options());
    expect(usersLeftOut(root)).toBeUndefined();
    installHooks(callsOf("all"), options());
    expect(usersLeftOut(root)).toBe("ann, bob");
    make("/etc/subuid", "root:1:2\n");
    expect(usersLeftOut(root)).toBeUndefined();
    make("/etc/nsswitch.conf", "subid: sss\n");
    expect(usersLeftOut(root)).toBe("those of the directory service");
  });
});
