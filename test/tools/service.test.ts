import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { serviceOf } from "../../src/service.js";

function node(...files: readonly string[]): string {
  const root = mkdtempSync(join(tmpdir(), "vprocfs-service-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const file of files) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), "");
  }
  return root;
}

const systemd = "/run/systemd/system/x";
const unit = "/usr/lib/systemd/system/vprocfs.service";

it.each([
  ["systemd's unit", [systemd, unit], "systemctl start vprocfs"],
  [
    "an administrator's unit",
    [systemd, "/etc/systemd/system/vprocfs.service"],
    "systemctl start vprocfs",
  ],
  ["a unit without systemd", [unit], "vprocfs run"],
  ["runit", ["/etc/service/vprocfs/run"], "sv start vprocfs"],
  ["runit elsewhere", ["/var/service/vprocfs/run"], "sv start vprocfs"],
  ["nothing", [systemd], "vprocfs run"],
])("names how to start it: %s", (_, files, start) => {
  expect(serviceOf("/var/lib/vprocfs", undefined, node(...files)).start).toBe(start);
});

it.each([
  ["systemd's unit", [systemd, unit], "restart it with 'systemctl restart vprocfs'"],
  ["runit", ["/etc/service/vprocfs/run"], "restart it with 'sv restart vprocfs'"],
  ["nothing", [systemd], "end it, and start it again with 'vprocfs run'"],
])("names how to restart it: %s", (_, files, restart) => {
  expect(serviceOf("/var/lib/vprocfs", undefined, node(...files)).restart).toBe(restart);
});

it("names LXCFS's service where vprocfs serves in its place", () => {
  const lxcfs = "/usr/lib/systemd/system/lxcfs.service";
  const place = "/usr/lib/vprocfs/in-place-of-lxcfs";
  const compat = node(systemd, unit, lxcfs, place);
  expect(serviceOf("/var/lib/lxcfs", undefined, compat).start).toBe("systemctl start lxcfs");
  expect(serviceOf("/var/lib/vprocfs", undefined, compat).start).toBe("systemctl start vprocfs");
  expect(serviceOf("/var/lib/lxcfs", undefined, node(systemd, unit, lxcfs)).start).toBe(
    "vprocfs run /var/lib/lxcfs",
  );
});

/** A node on which a process is the keeper; `files` are its files in /proc and those of its parent. */
function nodeWithKeeper(files: Readonly<Record<string, string>>): string {
  const isRunit = files["6/cmdline"]?.startsWith("runsv") === true;
  const root = isRunit ? node("/etc/service/vprocfs/run") : node(systemd, unit);
  for (const [path, text] of Object.entries({ "7/stat": "7 (vprocfs) S 6 7 7", ...files })) {
    mkdirSync(dirname(join(root, "proc", path)), { recursive: true });
    writeFileSync(join(root, "proc", path), text);
  }
  return root;
}

it.each([
  [
    "the service",
    { "7/cgroup": "0::/system.slice/vprocfs.service\n" },
    "systemctl restart vprocfs",
  ],
  [
    "systemd's on cgroup v1",
    { "7/cgroup": "1:name=systemd:/system.slice/vprocfs.service\n0::/\n" },
    "systemctl restart vprocfs",
  ],
  ["runit's", { "7/cgroup": "0::/\n", "6/cmdline": "runsv\0vprocfs\0" }, "sv restart vprocfs"],
  [
    "an instance started by hand",
    { "7/cgroup": "0::/user.slice/session-3.scope\n", "6/cmdline": "-bash\0" },
    "'vprocfs run /srv/vprocfs'",
  ],
])("asks the keeper which service it is: %s", (_, files, restart) => {
  const { restart: found } = serviceOf("/srv/vprocfs", 7, nodeWithKeeper(files));
  expect(found).toContain(restart);
});

it("names no service for a place where that does not serve", () => {
  const { start } = serviceOf("/srv/vprocfs", undefined, node(systemd, unit));
  expect(start).toBe("vprocfs run /srv/vprocfs");
});

it("asks the service's configuration where it serves", () => {
  const root = node(systemd, unit, "/etc/vprocfs/vprocfs.toml");
  writeFileSync(join(root, "/etc/vprocfs/vprocfs.toml"), 'mountpoint = "/srv/vprocfs"\n');
  expect(serviceOf("/srv/vprocfs", undefined, root).start).toBe("systemctl start vprocfs");
});
