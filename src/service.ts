import { existsSync } from "node:fs";
import { join } from "node:path";

/** Directories of units: an administrator's, packages', and packages' on older distributions. */
const UNIT_PLACES = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/** Exists while vprocfs-lxcfs-compat is installed, whose unit serves in LXCFS's place. */
const IN_PLACE_OF_LXCFS = "/usr/lib/vprocfs/in-place-of-lxcfs";

/** How an operator starts the vprocfs of a mount point, and where it logs. */
export interface Service {
  readonly start: string;
  /** How to restart it, as an imperative. */
  readonly restart: string;
  readonly log: string;
}

/**
 * The service that is installed for a mount point, else how to start vprocfs by hand. `root` replaces "/" in
 * tests.
 */
export function serviceOf(mountpoint: string, root = "/"): Service {
  const has = (path: string): boolean => existsSync(join(root, path));
  const inPlace = mountpoint === "/var/lib/lxcfs" && has(IN_PLACE_OF_LXCFS);
  const name = inPlace ? "lxcfs" : "vprocfs";
  const units = UNIT_PLACES.map((place) => join(place, `${name}.service`));
  if (has("/run/systemd/system") && units.some(has)) {
    const restart = `restart it with 'systemctl restart ${name}'`;
    return { start: `systemctl start ${name}`, restart, log: `'journalctl -u ${name}'` };
  }
  if (has(`/etc/service/${name}`)) {
    const restart = `restart it with 'sv restart ${name}'`;
    return { start: `sv start ${name}`, restart, log: "the log of the system" };
  }
  const restart = "end it, and start it again with 'vprocfs run'";
  return { start: "vprocfs run", restart, log: "the log of 'vprocfs run'" };
}
