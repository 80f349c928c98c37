// Daemons that write the kernel's log down, unpacked from Debian's packages.

import { readdirSync } from "node:fs";
import { join } from "node:path";

/** Where one runs. */
interface LoggerPlace {
  /** Its package's files, as the host sees them. */
  readonly files: string;
  /** The same, as the daemon sees them; the host's unless told. */
  readonly seen?: string;
  /** A directory of its own as it sees it: `conf` is its configuration, and `out` what it writes. */
  readonly work: string;
}

export interface Logger {
  readonly name: string;
  readonly packages: readonly string[];
  configuration(place: LoggerPlace): string;
  argv(place: LoggerPlace): readonly string[];
}

/** The directories of the libraries that programs of the packages need. */
function libraries({ files, seen = files }: LoggerPlace): string[] {
  const all = readdirSync(join(files, "usr/lib"));
  const own = all.filter((name) => name.includes("linux-gnu") || name === "syslog-ng");
  return own.map((name) => join(seen, "usr/lib", name));
}

function versionOfSyslogNg({ files }: LoggerPlace): string {
  return readdirSync(join(files, "usr/lib/syslog-ng")).find((name) => /^\d/.test(name)) ?? "";
}

const RSYSLOG: Logger = {
  name: "rsyslog",
  packages: ["rsyslog", "libestr0", "libfastjson4", "liblognorm5"],
  configuration: ({ work }) =>
    `module(load="imklog" permitnonkernelfacility="on")\naction(type="omfile" file="${work}/out")\n`,
  argv: (place) => {
    const { files, seen = files, work } = place;
    const modules = libraries(place).map((path) => join(path, "rsyslog"));
    return [
      join(seen, "usr/sbin/rsyslogd"),
      ...["-n", "-f", `${work}/conf`, "-i", `${work}/pid`, "-M", modules.join(":")],
    ];
  },
};

const SYSLOG_NG: Logger = {
  name: "syslog-ng",
  packages: ["syslog-ng-core", "libivykis0", "libwrap0"],
  configuration: (place) =>
    [
      `@version: ${versionOfSyslogNg(place)}`,
      'source s { file("/dev/kmsg" flags("kernel") program-override("kernel") format("linux-kmsg") keep-timestamp(no)); };',
      `destination d { file("${place.work}/out" template("$MSG\\n")); };`,
      "log { source(s); destination(d); };",
      "",
    ].join("\n"),
  argv: (place) => {
    const { files, seen = files, work } = place;
    return [
      join(seen, "usr/sbin/syslog-ng"),
      ...["-F", "--no-caps", "-f", `${work}/conf`, "-p", `${work}/pid`, "-c", `${work}/ctl`],
      ...["-R", `${work}/persist`],
      `--module-path=${join(seen, "usr/lib/syslog-ng", versionOfSyslogNg(place))}`,
    ];
  },
};

export const LOGGERS: readonly Logger[] = [RSYSLOG, SYSLOG_NG];

/** The whole command line. */
export function startLine(logger: Logger, place: LoggerPlace): readonly string[] {
  return ["env", `LD_LIBRARY_PATH=${libraries(place).join(":")}`, ...logger.argv(place)];
}
