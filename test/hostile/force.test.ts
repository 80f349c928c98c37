// `umount -f` inside a container: it ends a FUSE connection for all, where the kernel allows it.

import { expect, it } from "vitest";
import { filesOf, PLACES } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { Container } from "../support/container.js";
import { Daemon } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { memTotalKb } from "../support/procfile.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

describeLive("umount -f in a container", ["busybox"], () => {
  it("is refused in a user namespace; else all have their files again after a start", async () => {
    const scope = testScope();
    const options = [
      ...["--no-keeper", "--watch", "on"],
      ...["--attach-only", `vprocfs-test-${process.pid}-*`],
    ];
    const daemon = await Daemon.start(scope, ...options);
    const start = async (name: string, userBase?: number): Promise<Container> => {
      const mapped = userBase === undefined ? {} : { userBase };
      const container = await Container.start(scope, { name, memory: 64 * MIB, ...mapped });
      container.start(scope, ["sleep", "1000000"]);
      await until(`${name} has its files`, () => filesOf(container.init).length >= PLACES.length);
      return container;
    };
    const victim = await start("victim");
    const mapped = await start("mapped", 100_000);
    const privileged = await start("privileged");
    expect((await mapped.run(["umount", "-f", "/proc/stat"])).status).not.toBe(0);
    expect(memTotalKb(await victim.read("/proc/meminfo"))).toBe(64 * 1024);
    expect((await privileged.run(["umount", "-f", "/proc/stat"])).status).toBe(0);
    // Which has the service manager start it again.
    expect(await daemon.end()).toBe(1);
    await Daemon.startAt(scope, daemon.mountpoint, ...options);
    for (const one of [victim, mapped, privileged]) {
      await until("it has its files again", async () => {
        const { stdout } = await one.run(["cat", "/proc/meminfo"]);
        return /^MemTotal: +65536 kB\n/.test(stdout.toString());
      });
    }
  });
});
