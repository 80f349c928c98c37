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
  ["nothing", [systemd], "vprocfs run"],
])("names how to start it: %s", (_, files, start) => {
  expect(serviceOf("/var/lib/vprocfs", node(...files)).start).toBe(start);
});

it.each([
  ["systemd's unit", [systemd, unit], "restart it with 'systemctl restart vprocfs'"],
  ["runit", ["/etc/service/vprocfs/run"], "restart it with 'sv restart vprocfs'"],
  ["nothing", [systemd], "end it, and start it again with 'vprocfs run'"],
])("names how to restart it: %s", (_, files, restart) => {
  expect(serviceOf("/var/lib/vprocfs", node(...files)).restart).toBe(restart);
});

it("names LXCFS's service where vprocfs serves in its place", () => {
  const lxcfs = "/usr/lib/systemd/system/lxcfs.service";
  const place = "/usr/lib/vprocfs/in-place-of-lxcfs";
  const compat = node(systemd, unit, lxcfs, place);
  expect(serviceOf("/var/lib/lxcfs", compat).start).toBe("systemctl start lxcfs");
  expect(serviceOf("/var/lib/vprocfs", compat).start).toBe("systemctl start vprocfs");
  expect(serviceOf("/var/lib/lxcfs", node(systemd, unit, lxcfs)).start).toBe(
    "systemctl start vprocfs",
  );
});
