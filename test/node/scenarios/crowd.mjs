// Many containers.

import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const COUNT = 50;
const guest = join(dirname(dirname(fileURLToPath(import.meta.url))), "guest");
const inSeconds = (milliseconds) => `${(milliseconds / 1000).toFixed(1)} s`;

/** How many times longer the node takes than the machine outside for what is none of ours. */
async function slowness(bed) {
  const inside = JSON.parse(await bed.sh("python3 /root/bed/yardstick.py"));
  const argv = ["python3", join(guest, "yardstick.py")];
  const outside = JSON.parse(spawnSync(argv[0], argv.slice(1), { encoding: "utf8" }).stdout);
  const factor = (what) => `${(inside[what] / outside[what]).toFixed(1)} ×`;
  return `a loop takes the node ${factor("loop")} as long as the machine outside, 50 processes ${factor("processes")}, a start of Node.js ${factor("node")}`;
}

/** @type {import("./index.mjs").Scenario[]} */
export const crowd = [
  {
    name: "crowd",
    title: `the service is started where ${COUNT} containers of runc run: all are served`,
    async run(bed) {
      const text = await bed.sh(
        `systemctl stop vprocfs
        # What they take of memory and CPU is for the others.
        for one in $(everyone); do stop "\${one%%:*}" "\${one#*:}" || true; done
        /root/bed/crowd.sh ${COUNT} systemctl start vprocfs`,
      );
      const [milliseconds, files, first] = text.split("\n").pop().split(" ").map(Number);
      bed.note(
        `${COUNT} containers with ${files} files each, the first of them served after ${inSeconds(first)} and the last one after ${inSeconds(milliseconds)}`,
      );
      bed.note(await slowness(bed));
    },
  },
];
