import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DEFAULT_CONFIG_FILE } from "./config.js";
import { loadConfig } from "./config-load.js";
import { type AskStatus, readStatus } from "./keeper-status.js";
import { canonicalPath, defaultPlace, LXCFS_PLACE } from "./mountpoint.js";
import { statField } from "./processes.js";
import { shellWord } from "./text.js";

/** Directories of units: an administrator's, packages', and packages' on older distributions. */
const UNIT_PLACES = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/** Where runit is told which services to run: Debian's, runit's own and Void's. */
const RUNIT_PLACES = ["/etc/service", "/service", "/var/service"];
/** Exists while vprocfs-lxcfs-compat is installed, whose unit serves in LXCFS's place. */
const IN_PLACE_OF_LXCFS = "/usr/lib/vprocfs/in-place-of-lxcfs";

/** How an operator starts the vprocfs of a mount point, and where it logs. */
interface Service {
  readonly start: string;
  /** How to restart it, as an imperative. */
  readonly restart: string;
  readonly log: string;
}

/** Where the service serves that vprocfs installs: it is started without flags. `root` replaces "/" in tests. */
function installedPlace(root: string): string {
  const defaultFile = join(root, DEFAULT_CONFIG_FILE);
  try {
    return canonicalPath(loadConfig({ env: {}, defaultFile }).mountpoint);
  } catch {
    return defaultPlace();
  }
}

/** A file of a process; empty if it has ended. */
function readOf(root: string, pid: number | string, name: string): string {
  try {
    return readFileSync(join(root, "proc", `${pid}`, name), "utf8");
  } catch {
    return "";
  }
}

/** Whether systemd or runit runs a process as the service of this name. */
function isRunAs(root: string, name: string, pid: number): boolean {
  const unit = new RegExp(`/${name}\\.service(/|$)`, "m");
  const parent = statField(pid, 4, join(root, "proc")) ?? "";
  const supervisor = readOf(root, parent, "cmdline").split("\0").slice(0, 2).join(" ");
  return unit.test(readOf(root, pid, "cgroup")) || supervisor === `runsv ${name}`;
}

/**
 * The service that serves a mount point, else how to start vprocfs there by hand. `keeper` is the PID of the keeper that
 * serves there; undefined: none does. `root` replaces "/" in tests.
 */
export function serviceOf(mountpoint: string, keeper: number | undefined, root = "/"): Service {
  const has = (path: string): boolean => existsSync(join(root, path));
  const inPlace = mountpoint === canonicalPath(LXCFS_PLACE) && has(IN_PLACE_OF_LXCFS);
  const name = inPlace ? "lxcfs" : "vprocfs";
  const isIts =
    keeper === undefined
      ? inPlace || mountpoint === installedPlace(root)
      : isRunAs(root, name, keeper);
  const units = UNIT_PLACES.map((place) => join(place, `${name}.service`));
  if (isIts && has("/run/systemd/system") && units.some(has)) {
    const restart = `restart it with 'systemctl restart ${name}'`;
    return { start: `systemctl start ${name}`, restart, log: `'journalctl -u ${name}'` };
  }
  if (isIts && RUNIT_PLACES.some((place) => has(join(place, name)))) {
    const restart = `restart it with 'sv restart ${name}'`;
    return { start: `sv start ${name}`, restart, log: "the log of the system" };
  }
  const isDefault = mountpoint === defaultPlace();
  const start = `vprocfs run${isDefault ? "" : ` ${shellWord(mountpoint)}`}`;
  const restart = `end it, and start it again with '${start}'`;
  return { start, restart, log: "the log of 'vprocfs run'" };
}

/** serviceOf() for whoever serves there now. */
export async function serviceAt(
  mountpoint: string,
  ask: AskStatus = () => readStatus(mountpoint),
): Promise<Service> {
  const status = await ask().catch(() => undefined);
  return serviceOf(mountpoint, status?.keeperPid);
}
