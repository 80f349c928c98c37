/** The files that are measured, by the short names under which they are reported. */
export const FILES = {
  meminfo: "proc/meminfo",
  stat: "proc/stat",
  cpuinfo: "proc/cpuinfo",
  uptime: "proc/uptime",
  swaps: "proc/swaps",
  online: "sys/devices/system/cpu/online",
} as const;

export type FileName = keyof typeof FILES;

export const FILE_NAMES = Object.keys(FILES) as readonly FileName[];

/** Where a container reads it. */
export const pathOf = (name: FileName): string => `/${FILES[name]}`;
