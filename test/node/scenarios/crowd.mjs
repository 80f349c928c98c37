// Many containers.

const COUNT = 50;

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
      const [milliseconds, files] = text.split("\n").pop().split(" ").map(Number);
      bed.note(
        `${COUNT} containers with ${files} files each, the last of them served after ${(milliseconds / 1000).toFixed(1)} s`,
      );
    },
  },
];
