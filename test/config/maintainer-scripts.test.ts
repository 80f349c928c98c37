// The maintainer scripts of the Debian packages, called by the real dpkg: in a mount namespace with a
// /run, /etc and /var of its own, and with a systemctl and a vprocfs that only say what they were told.

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { MARK } from "../../src/attach/hook-files.js";
import { haveProgram, output } from "../support/command.js";
import { OWN_POLICY } from "../support/policy.js";
import { project } from "../support/project.js";

const lacking = ["dpkg", "dpkg-deb", "unshare"].filter((name) => !haveProgram(name));
const isRoot = process.getuid?.() === 0;
const missing = [...lacking.map((name) => `no ${name}`), ...(isRoot ? [] : ["not root"])];
const reason = missing.length === 0 ? "" : ` (skipped: ${missing.join(", ")})`;

/**
 * Units are enabled as systemd enables them; one is active when there is a file of its name, and has the
 * properties that are in /run.
 */
const SYSTEMCTL = `#!/bin/sh
for word in "$@"; do
  case $word in
  --now) now=yes ;;
  --property=*) property=\${word#*=} ;;
  -*) ;;
  *.service) unit=$word ;;
  *) verb=$word ;;
  esac
done
wants=/etc/systemd/system/multi-user.target.wants
case $verb in
enable) mkdir -p $wants; ln -sf "/usr/lib/systemd/system/$unit" "$wants/$unit"; [ -z "$now" ] || verb=start ;;
disable) rm -f "$wants/$unit"; [ -z "$now" ] || verb=stop ;;
is-active) exec test -e "/run/active/$unit" ;;
is-enabled) exec test -L "$wants/$unit" ;;
show) [ -e "/run/active/$unit" ] && exec cat "/run/$property" 2>/dev/null ;;
esac
echo "$verb $unit" >>/run/units
case $verb in
start | restart)
  mkdir -p /run/active
  touch "/run/active/$unit"
  # As vprocfs-unit does for it.
  [ "$unit" != lxcfs.service ] || rm -f /run/active/vprocfs.service
  ;;
stop) rm -f "/run/active/$unit" ;;
esac
`;

/** It is mounted where the active unit has it mounted, unless /run/lxcfs says that this one is LXCFS's own. */
const VPROCFS = `#!/bin/sh
if [ -e /etc/vprocfs/wrong ] && [ "$VPROCFS_CONFIG" != /dev/null ]; then
  exit 2
fi
case "$*" in
status*/var/lib/lxcfs*) [ ! -e /run/active/lxcfs.service ] || [ -e /run/lxcfs ] || echo ' "keeperPid": 99999999' ;;
status*) [ ! -e /run/active/vprocfs.service ] || echo ' "keeperPid": 99999999' ;;
*--print-config)
  echo ' "mountpoint": "/var/lib/vprocfs",'
  [ ! -e /etc/vprocfs/unservable ] || { echo "vprocfs: web.yml: no such file" >&2; exit 2; }
  ;;
*)
  echo "$*" >>/run/told
  echo "$VPROCFS_CONFIG" >>/run/configurations
  echo "$DPKG_MAINTSCRIPT_PACKAGE" >>/run/callers
  ;;
esac
`;

/** The Node.js of vprocfs-node. */
const NODE = "/usr/lib/vprocfs-node/bin/node";

/** /usr/lib as it is, but what is changed there is only changed here. */
const OWN_LIB =
  "mkdir /run/upper /run/work; mount -t overlay overlay -o lowerdir=/usr/lib,upperdir=/run/upper,workdir=/run/work /usr/lib; mkdir -p /usr/lib/vprocfs";

/** A service runs until it is stopped. */
const SV = `#!/bin/sh
case "$*" in
status*) [ -e /run/sv-down ] && echo "down: $2: 5s, normally up" || echo "run: $2: (pid 1) 5s" ;;
*) echo "$*" >>/run/sv ;;
esac
case "$*" in
*stop*) touch /run/sv-down ;;
up*) rm -f /run/sv-down ;;
esac
`;

/** What an administrator does, and what is then so, told at each `state`. */
async function administer(...steps: readonly string[]): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), "vprocfs-test-dpkg-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  mkdirSync(join(directory, "bin"));
  writeFileSync(join(directory, "bin/systemctl"), SYSTEMCTL, { mode: 0o755 });
  writeFileSync(join(directory, "bin/vprocfs"), VPROCFS, { mode: 0o755 });
  writeFileSync(join(directory, "bin/sv"), SV, { mode: 0o755 });
  const node = join(directory, `vprocfs-node${NODE}`);
  mkdirSync(dirname(node), { recursive: true, mode: 0o755 });
  writeFileSync(node, "", { mode: 0o755 });
  for (const name of ["vprocfs", "vprocfs-lxcfs-compat", "vprocfs-node"]) {
    const control = join(directory, name, "DEBIAN");
    mkdirSync(control, { recursive: true, mode: 0o755 });
    const scripts = join(project, "packaging/debian", name);
    for (const script of readdirSync(scripts).filter((file) => /^(?:pre|post|trig)/.test(file))) {
      cpSync(join(scripts, script), join(control, script));
    }
    const fields = ["Maintainer: none", "Architecture: all", "Description: scripts"];
    for (const version of ["1", "2"]) {
      const lines = [`Package: ${name}`, `Version: ${version}`, ...fields, ""];
      writeFileSync(join(control, "control"), lines.join("\n"));
      const file = join(directory, `${name}-${version}.deb`);
      await output(["dpkg-deb", "-Znone", "--build", join(directory, name), file]);
    }
  }
  const script = `set -e
for place in /run /etc /var; do mount -t tmpfs tmpfs $place; done
[ ! -e /usr/lib/systemd/system ] || mount -t tmpfs tmpfs /usr/lib/systemd/system
${OWN_POLICY}
mkdir -p /run/systemd/system /var/lib/dpkg/info /var/lib/dpkg/updates /var/lib/dpkg/triggers
touch /var/lib/dpkg/status
package() { dpkg --force-not-root --force-unsafe-io --log=/dev/null "$@" >/run/out 2>&1 || { cat /run/out; exit 1; }; }
install() { package -i "${directory}/$1.deb"; }
state() {
  echo "enabled: $(ls /etc/systemd/system/multi-user.target.wants 2>/dev/null | xargs), active: $(ls /run/active 2>/dev/null | xargs)"
}
${steps.join("\n")}`;
  const path = `${join(directory, "bin")}:${process.env.PATH}`;
  const vprocfs = join(directory, "bin/vprocfs");
  const env = { ...process.env, PATH: path, DPKG_ADMINDIR: "/var/lib/dpkg", VPROCFS: vprocfs };
  // The scripts look for processes of the service too, and other tests run such ones.
  const isolated = ["unshare", "--mount", "--pid", "--fork", "--mount-proc"];
  const text = await output([...isolated, "sh", "-c", script], { env });
  expect(existsSync("/run/told")).toBe(false);
  return text.split("\n").slice(0, -1);
}

const own = "enabled: vprocfs.service, active: vprocfs.service";
const compat = "enabled: lxcfs.service, active: lxcfs.service";
const none = "enabled: , active: ";

describe.runIf(missing.length === 0)(`maintainer scripts${reason}`, () => {
  it("start the service, also of what had been removed, and leave nothing when purged", async () => {
    const removed = "enabled: vprocfs.service, active: ";
    expect(
      await administer(
        "install vprocfs-1; state",
        "install vprocfs-2; state",
        "package --remove vprocfs; state",
        "install vprocfs-2; state",
        "package --purge vprocfs; state",
        "install vprocfs-2; state",
      ),
    ).toEqual([own, own, removed, own, none, own]);
  });

  it("leave a service alone that is disabled", async () => {
    const off = "systemctl disable --now vprocfs.service";
    expect(
      await administer(
        `install vprocfs-1; ${off}; install vprocfs-2; state`,
        "package --remove vprocfs; install vprocfs-2; state",
      ),
    ).toEqual([none, none]);
  });

  it("start and restart nothing that policy-rc.d forbids, and forget nothing", async () => {
    const policy = "/usr/sbin/policy-rc.d";
    const forbid = `printf '#!/bin/sh\\necho "$2 $1" >>/run/asked\\nexit 101\\n' >${policy}; chmod 755 ${policy}`;
    const asked = "sort -u /run/asked; rm /run/asked";
    const changed = "grep -E '^(start|restart|reload)' /run/units /run/told || echo none";
    const off = "enabled: vprocfs.service, active: ";
    expect(
      await administer(
        `${forbid}; install vprocfs-1; state; ${asked}; grep -c 'vprocfs.service: no start' /run/out`,
        `install vprocfs-lxcfs-compat-1; state; ${asked}; ${changed}`,
        `package --remove vprocfs-lxcfs-compat; state; ${asked}; ${changed}`,
        `systemctl start vprocfs.service; touch /run/NFileDescriptorStore; rm /run/units`,
        `install vprocfs-2; ${asked}; ${changed}`,
        // What only warns forbids nothing.
        `sed -i s/101/105/ ${policy}; package --purge vprocfs; install vprocfs-1; state`,
      ),
    ).toEqual([
      off,
      "start vprocfs.service",
      "1",
      "enabled: lxcfs.service vprocfs.service, active: ",
      "restart lxcfs.service",
      "none",
      "enabled: lxcfs.service vprocfs.service, active: ",
      "start vprocfs.service",
      "none",
      "restart vprocfs.service",
      "start vprocfs.service",
      "none",
      "enabled: lxcfs.service vprocfs.service, active: vprocfs.service",
    ]);
  });

  it("enable the service where systemd does not run yet", async () => {
    const off = "systemctl disable vprocfs.service";
    expect(
      await administer(
        "rmdir /run/systemd/system; install vprocfs-1; state",
        `${off}; install vprocfs-2; state`,
      ),
    ).toEqual(["enabled: vprocfs.service, active: ", none]);
  });

  it("stop runit's service, and start it again unless an operator has stopped it", async () => {
    const service = "/etc/service/vprocfs";
    const again = "package --remove vprocfs; install vprocfs-1; cat /run/sv; rm -f /run/sv";
    expect(
      await administer(
        `mkdir -p /etc/sv/vprocfs/supervise /etc/sv/vprocfs/log/supervise ${dirname(service)}`,
        `touch /etc/sv/vprocfs/own; ln -s /etc/sv/vprocfs ${service}; mkdir -m 0700 /run/vprocfs`,
        `install vprocfs-1; ${again}; sv stop ${service}; rm /run/sv; touch /run/sv; ${again}`,
        `package --purge vprocfs; cd /etc; find sv service ! -type d`,
        "find sv -name supervise",
      ),
    ).toEqual([
      `-w 60 force-stop ${service}`,
      `up ${service}`,
      "sv/vprocfs/own",
      "service/vprocfs",
    ]);
  });

  it("call the command as the package, and forget what an operator wanted when purged", async () => {
    const marker = "/etc/vprocfs/no-hooks";
    expect(
      await administer(
        `mkdir -p /etc/vprocfs; touch ${marker}`,
        "install vprocfs-1; package --remove vprocfs; sort -u /run/callers",
        `ls ${marker}; package --purge vprocfs; ls /etc/vprocfs 2>/dev/null || echo none`,
      ),
    ).toEqual(["vprocfs", marker, "none"]);
  });

  it("enable one service only where systemd does not run", async () => {
    expect(
      await administer(
        "rmdir /run/systemd/system; install vprocfs-1; install vprocfs-lxcfs-compat-1; state",
        "mkdir -p /run/systemd/system; install vprocfs-2; state",
      ),
    ).toEqual(["enabled: lxcfs.service, active: ", "enabled: lxcfs.service, active: "]);
  });

  it("leave the sockets of what passes calls on while it lives", async () => {
    const shown = "ls /run/vprocfs 2>/dev/null || echo none";
    expect(
      await administer(
        "mkdir -p /run/vprocfs/calls; touch /run/vprocfs/calls/oci.sock /run/vprocfs/other",
        'cp "$(command -v sleep)" /run/vprocfs-rest; /run/vprocfs-rest 1000 & rest=$!',
        'trap "kill $rest" EXIT',
        'while [ "$(cat /proc/$rest/comm)" != vprocfs-rest ]; do sleep 0.01; done',
        `install vprocfs-1; package --purge vprocfs; ${shown}`,
        "trap - EXIT; kill $rest; wait $rest || true",
        `install vprocfs-1; package --purge vprocfs; ${shown}`,
      ),
    ).toEqual(["calls", "none"]);
  });

  it("name podman's containers that cannot be started any more", async () => {
    const storage = "/var/lib/containers/storage/overlay-containers";
    const container = (letter: string, config: string): string => {
      const place = `${storage}/${letter.repeat(64)}/userdata`;
      return `mkdir -p ${place}; echo '${config}' >${place}/config.json`;
    };
    const listener = '{"seccomp":{"listenerPath":"/run/vprocfs/calls/oci.sock"}}';
    const said = "grep -o 'cannot be started.*' /run/out || echo none";
    expect(
      await administer(
        `install vprocfs-1; ${container("a", "{}")}; package --remove vprocfs; ${said}`,
        `install vprocfs-1; ${container("b", listener)}; package --remove vprocfs; ${said}`,
      ),
    ).toEqual(["none", `cannot be started any more without vprocfs: ${"b".repeat(12)}`]);
  });

  it("name LXC's containers that cannot be started any more", async () => {
    const socket = "lxc.seccomp.notify.proxy = unix:/run/vprocfs/calls/lxc.sock";
    const container = (name: string, policy: string, ...lines: readonly string[]): string => {
      const text = ["", `lxc.seccomp.profile = ${policy}`, ...lines, ""].join("\\n");
      return `mkdir -p /var/lib/lxc/${name}; printf '${text}' >/var/lib/lxc/${name}/config`;
    };
    const proxmox = "/etc/pve/nodes/pve1/lxc";
    const toProxmox = `mkdir -p ${proxmox}; sed 's/ =/:/' /var/lib/lxc/web1/config >${proxmox}/101.conf`;
    const own = "/etc/lxc/own.seccomp";
    const said = "grep -o 'cannot be started.*' /run/out || echo none";
    expect(
      await administer(
        "mkdir -p /etc/lxc /etc/vprocfs",
        `printf '2\\ndenylist\\n[all]\\nsysinfo notify\\n' >${own}`,
        // As uninstall-hooks leaves it.
        `printf '2\\ndenylist\\n[all]\\n# ${MARK}\\n' >/etc/vprocfs/calls.seccomp`,
        `${container("other", own)}; ${container("left", "/etc/vprocfs/calls.seccomp", socket)}`,
        `install vprocfs-1; package --remove vprocfs; ${said}`,
        `${container("web1", own, socket)}; install vprocfs-1; package --remove vprocfs; ${said}`,
        `${toProxmox}; rm -r /var/lib/lxc; install vprocfs-1; package --remove vprocfs; ${said}`,
      ),
    ).toEqual([
      "none",
      "cannot be started any more without vprocfs: /var/lib/lxc/web1/config",
      `cannot be started any more without vprocfs: ${proxmox}/101.conf`,
    ]);
  });

  it.runIf(haveProgram("deb-systemd-helper"))(
    "keep the service in LXCFS's place enabled whatever LXCFS's own scripts do",
    async () => {
      // debhelper before 13.10 masked a unit whose package is removed.
      const links = "/var/lib/systemd/deb-systemd-helper-enabled/lxcfs.service.dsh-also";
      const wants = "/etc/systemd/system/multi-user.target.wants/lxcfs.service";
      expect(
        await administer(
          `install vprocfs-1; mkdir -p ${dirname(links)}; echo ${wants} >${links}`,
          "export DPKG_MAINTSCRIPT_PACKAGE=lxcfs; deb-systemd-helper mask lxcfs.service; readlink /etc/systemd/system/lxcfs.service",
          "install vprocfs-lxcfs-compat-1; state; ls /etc/systemd/system",
          "deb-systemd-helper purge lxcfs.service; state",
        ),
      ).toEqual(["/dev/null", compat, "multi-user.target.wants", compat]);
    },
  );

  it("leave wrappers that options of dockerd and Kubernetes' containerd name", async () => {
    const named = "--add-runtime v=/usr/libexec/vprocfs-runc --default-runtime v";
    const drop = "/etc/systemd/system/docker.service.d/v.conf";
    const k3s = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml.tmpl";
    expect(
      await administer(
        "mkdir /run/libexec; mount --bind /run/libexec /usr/libexec",
        `mkdir -p ${dirname(drop)} ${dirname(k3s)}; echo 'ExecStart=dockerd ${named}' >${drop}`,
        `echo 'BinaryName = "/usr/libexec/vprocfs-crun"' >${k3s}`,
        "install vprocfs-1; package --remove vprocfs; ls /usr/libexec",
      ),
    ).toEqual(["vprocfs-crun", "vprocfs-runc"]);
  });

  it("leave what LXC's configurations of users may name", async () => {
    const policy = "/etc/vprocfs/calls.seccomp";
    const purge = (subuid: string, sources = ""): string =>
      `printf '${subuid}' >/etc/subuid; echo '${sources}' >/etc/nsswitch.conf; mkdir -p /etc/vprocfs; install vprocfs-1; ` +
      `echo '# ${MARK}: left for configurations that include it.' >${policy}; ` +
      `package --remove vprocfs; package --purge vprocfs; ls ${policy} 2>/dev/null || echo none`;
    expect(
      await administer(
        purge("root:100000:65536\\n\\n", "subid: files # sss"),
        purge("", "subid: sss"),
        `rm ${policy}`,
        purge("alice:165536:65536\\n"),
      ),
    ).toEqual(["none", policy, policy]);
  });

  it.each(["/var/lib/lxc/web1/config", "/etc/pve/nodes/pve1/lxc/101.conf"])(
    "leave what LXC's %s names, until it does not",
    async (config) => {
      const hook = "/usr/share/vprocfs/lxc/vprocfs-mount-hook";
      const include = "/usr/share/lxc/config/common.conf.d/20-vprocfs.conf";
      const policy = "/etc/vprocfs/calls.seccomp";
      const left = `# ${MARK}: left for configurations that include it.`;
      expect(
        await administer(
          `mount -t tmpfs tmpfs /usr/share; mkdir -p ${dirname(config)} /etc/vprocfs`,
          `echo 'lxc.hook.mount = ${hook} /srv/tree' >${config}`,
          `echo 'lxc.include = ${include}' >>${config}`,
          `echo 'lxc.seccomp.profile = ${policy}' >>${config}`,
          `mkdir -p ${dirname(include)}; echo '${left}' | tee ${include} ${policy} >/dev/null`,
          `install vprocfs-1; package --remove vprocfs; ${hook} && sed -n '$p' ${hook}`,
          `grep -c 'now does nothing' /run/out; package --purge vprocfs; ls ${policy} ${hook} ${include}`,
          `echo >${config}; rm ${hook}; install vprocfs-1; package --purge vprocfs`,
          "find /usr/share /etc/vprocfs -type f 2>/dev/null || :",
        ),
      ).toEqual(["exit 0", "1", policy, include, hook]);
    },
  );

  it("have a running service go on with the new version, and not start again", async () => {
    const told = "grep -v hooks /run/told";
    expect(await administer("install vprocfs-1; rm /run/told; install vprocfs-2", told)).toEqual([
      "reload --mountpoint /var/lib/vprocfs",
    ]);
  });

  it.each(["wrong", "unservable"])("restart nothing where the configuration is %s", async (how) => {
    const wrong = `mkdir -p /etc/vprocfs; touch /etc/vprocfs/${how} /run/NFileDescriptorStore; rm /run/units`;
    const said = "grep -c 'goes on with the old version until the configuration loads' /run/out";
    expect(
      await administer(
        `install vprocfs-1; ${wrong}; install vprocfs-2; ${said}; state`,
        "grep -E '^(restart|stop|reload)' /run/units /run/told | grep -v hooks || echo none",
      ),
    ).toEqual(["1", own, "none"]);
  });

  it("say so if the new version has started only to say that it cannot serve", async () => {
    const refuses = "echo 4 >/run/NFileDescriptorStore; echo no worker serves >/run/StatusText";
    const said = "grep -c 'vprocfs.service does not serve' /run/out";
    expect(
      await administer(`install vprocfs-1; ${refuses}; install vprocfs-2; ${said}; state`),
    ).toEqual(["1", own]);
  });

  it("restart a service in LXCFS's place neither", async () => {
    const wrong = "mkdir -p /etc/vprocfs; touch /etc/vprocfs/wrong; rm /run/units";
    expect(
      await administer(
        `install vprocfs-1; install vprocfs-lxcfs-compat-1; ${wrong}`,
        "install vprocfs-lxcfs-compat-2; grep -c 'nothing was restarted' /run/out; state",
        "grep -E '^(restart|stop)' /run/units || echo none",
      ),
    ).toEqual(["1", compat, "none"]);
  });

  it("have the service go on with another Node.js", async () => {
    // Its command line says what it starts.
    const keeper = (node: string): string =>
      `/run/vprocfs-keeper -c 'read line <>/run/never' -- ${node} --expose-gc >/dev/null 2>&1 & echo $! >/run/MainPID`;
    const restarted = "grep restart /run/units || echo none; rm -f /run/units; touch /run/units";
    const kill = "kill -9 $(cat /run/MainPID)";
    const wrong = "/etc/vprocfs/wrong";
    expect(
      await administer(
        `${OWN_LIB}; cp "${project}/packaging/systemd/vprocfs-unit" /usr/lib/vprocfs`,
        `mkfifo /run/never; cp /bin/sh /run/vprocfs-keeper; mkdir -p /etc/vprocfs; trap '${kill}' EXIT`,
        `install vprocfs-1; ${keeper("/bin/true")}; ${restarted}`,
        // What systemd does not hold is left as it is.
        `install vprocfs-node-1; grep -c 'goes on with /bin/true' /run/out; ${restarted}`,
        `echo 4 >/run/NFileDescriptorStore; touch ${wrong}; install vprocfs-node-2; ${restarted}`,
        `grep -c 'until the configuration loads' /run/out; rm ${wrong}`,
        `install vprocfs-node-1; ${restarted}; ${kill}; ${keeper(NODE)}`,
        `install vprocfs-node-2; ${restarted}`,
        `package --remove vprocfs-node; ${restarted}`,
      ),
    ).toEqual([
      "none",
      "1",
      "none",
      "none",
      "1",
      "restart vprocfs.service",
      "none",
      "restart vprocfs.service",
    ]);
  });

  it("have only vprocfs go on with a new version of its Node.js, not an LXCFS", async () => {
    const policy = "/usr/sbin/policy-rc.d";
    const upgrade = (version: string): string =>
      `rm -f /run/units /run/told; touch /run/units /run/told; install vprocfs-node-${version}; ` +
      "echo reloaded: $(sed -n 's/^reload //p' /run/units /run/told)";
    expect(
      await administer(
        `${OWN_LIB}; cp "${project}/packaging/systemd/vprocfs-unit" /usr/lib/vprocfs`,
        "mkdir -p /run/active; touch /run/active/lxcfs.service /run/lxcfs",
        `install vprocfs-1; ${upgrade("1")}; systemctl stop vprocfs.service; ${upgrade("2")}`,
        `rm /run/lxcfs; ${upgrade("1")}`,
        `printf '#!/bin/sh\nexit 101\n' >${policy}; chmod 755 ${policy}; ${upgrade("2")}`,
        "grep -c 'lxcfs.service: no reload' /run/out",
      ),
    ).toEqual([
      "reloaded: --mountpoint /var/lib/vprocfs",
      "reloaded:",
      "reloaded: --mountpoint /var/lib/lxcfs",
      "reloaded:",
      "1",
    ]);
  });

  it("leave hooks where vprocfs serves, also beside a package that could not take over", async () => {
    const hooks = "sed -n 's/^install-hooks *//p' /run/told | tail -n 1";
    expect(
      await administer(
        `${OWN_LIB}; touch /usr/lib/vprocfs/in-place-of-lxcfs; install vprocfs-1; ${hooks}`,
        `install vprocfs-2; echo "on $(${hooks})"`,
      ),
    ).toEqual(["--mountpoint /var/lib/lxcfs", "on "]);
  });

  it("take the files out of containers without having them left alone", async () => {
    const told = "grep detach /run/told";
    expect(await administer("install vprocfs-1; package --remove vprocfs", told)).toEqual([
      "detach --all --for-now",
    ]);
  });

  it("take everything away also where the configuration does not load", async () => {
    const wrong = "mkdir -p /etc/vprocfs; touch /etc/vprocfs/wrong; rm /run/told";
    expect(
      await administer(`install vprocfs-1; ${wrong}; package --remove vprocfs; cat /run/told`),
    ).toEqual(["uninstall-hooks", "detach --all --for-now"]);
  });

  it("take them away by a configuration that only cannot be served", async () => {
    const wrong = "mkdir -p /etc/vprocfs; touch /etc/vprocfs/unservable; rm /run/configurations";
    const used = "sort -u /run/configurations";
    expect(
      await administer(`install vprocfs-1; ${wrong}; package --remove vprocfs; ${used}`),
    ).toEqual([""]);
  });

  it("leave what starts hooks, which configurations in unknown places may name, and say so", async () => {
    const starter = "/usr/libexec/vprocfs-hook";
    const shown = `ls ${starter} || echo none; grep -c '${starter} stays' /run/out || :`;
    expect(
      await administer(
        "mount -t tmpfs tmpfs /usr/libexec",
        `install vprocfs-1; package --purge vprocfs; ${shown}`,
        `touch ${starter}; install vprocfs-1; package --purge vprocfs; ${shown}`,
      ),
    ).toEqual(["none", "0", starter, "1"]);
  });

  it("leave something to run where a configuration of containers names the wrapper", async () => {
    const name = "/usr/lib/vprocfs/vprocfs-runc";
    const shown = `sed -n '$p' ${name}; grep -c 'now only runs runc' /run/out`;
    expect(
      await administer(
        // The files of the package, which these packages do not have.
        OWN_LIB,
        "mkdir -p /etc/docker",
        `echo '{"runtimes":{"vprocfs":{"path":"${name}"}}}' >/etc/docker/daemon.json`,
        `install vprocfs-1; package --remove vprocfs; ${shown}`,
        `rm ${name}; package --purge vprocfs; ${shown}`,
        `rm ${name} /etc/docker/daemon.json; install vprocfs-1; package --purge vprocfs; ls /usr/lib/vprocfs`,
      ),
    ).toEqual(['exec runc "$@"', "1", 'exec runc "$@"', "1"]);
  });

  it("have the one that takes over serve before the other one stops", async () => {
    const told = "grep -E '^(start|stop|restart) ' /run/units";
    expect(
      await administer(
        "install vprocfs-1; install vprocfs-lxcfs-compat-1; rm /run/units",
        `package --remove vprocfs-lxcfs-compat; ${told} | head -n 2`,
      ),
    ).toEqual(["start vprocfs.service", "stop lxcfs.service"]);
  });

  it("put the service in LXCFS's place and back, again and again", async () => {
    const both = "install vprocfs-1; install vprocfs-lxcfs-compat-1";
    const enabled = "enabled: lxcfs.service vprocfs.service";
    expect(
      await administer(
        `${both}; state`,
        "install vprocfs-2; install vprocfs-lxcfs-compat-2; state",
        "package --remove vprocfs-lxcfs-compat; state",
        "install vprocfs-lxcfs-compat-2; state",
        "package --remove vprocfs-lxcfs-compat vprocfs; state",
        `${both}; state`,
        "package --purge vprocfs-lxcfs-compat; state",
        "package --purge vprocfs; state",
      ),
    ).toEqual([
      compat,
      compat,
      `${enabled}, active: vprocfs.service`,
      compat,
      `${enabled}, active: `,
      compat,
      own,
      none,
    ]);
  });
});
