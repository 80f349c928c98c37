import { expect, it } from "vitest";
import { figures, hostFiles } from "../../src/demo/figures.js";

const CONTAINER = new Map([
  [
    "/proc/meminfo",
    "MemTotal:         262144 kB\nMemFree:           1024 kB\nSwapTotal: 131072 kB\n",
  ],
  ["/proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/x   partition 131072 0 -2\n"],
  ["/proc/cpuinfo", "processor\t: 0\nmodel name\t: processor\n\nprocessor\t: 1\n"],
  ["/proc/stat", "cpu  1 2 3\ncpu0 1 2 3\ncpu1 1 2 3\nintr 0\n"],
  ["/sys/devices/system/cpu/online", "0-1\n"],
  ["/proc/uptime", "2.34 4.60\n"],
]);

it("reads the figures that the demo compares", () => {
  expect(Object.fromEntries(figures(CONTAINER))).toEqual({
    memory: "256 MiB",
    "memory free": "1 MiB",
    "memory available": "?",
    "swap (meminfo)": "128 MiB",
    "swap free": "?",
    "swap (swaps)": "128 MiB",
    "CPUs (cpuinfo)": "2",
    "CPUs (stat)": "2",
    "CPUs online": "0-1",
    uptime: "2.34 s",
  });
});

it("reads them from this machine too", () => {
  for (const [, figure] of figures(hostFiles())) {
    expect(figure).not.toContain("?");
  }
});
