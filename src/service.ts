import { existsSync } from "node:fs";
import { join } from "node:path";

/** Where units are: an administrator's, the package's, and where distributions had them before. */
const UNIT_PLACES = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/** There while vprocfs-lxcfs-compat is installed: then its unit serves in LXCFS's place. */
const IN_PLACE_OF_LXCFS = "/usr/lib/vprocfs/in-place-of-lxcfs";

/** How an operator starts the vprocfs of a mount point, and where it logs. */
export interface Service {
  readonly start: string;
  /** What to do with one that runs and has to begin anew. */
  readonly restart: string;
  readonly log: string;
}

/** By the service that is installed for a mount point, or by hand. `root` stands in for `/`. */
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
