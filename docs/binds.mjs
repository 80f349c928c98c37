// The bind mounts in docs/guide/containers.md, out of the table of views: the page is written by hand
// but for what stands between its markers.

const TREE = "/var/lib/vprocfs";

/** runc takes mounts over no other files of /proc than these (libcontainer, checkProcMount). */
const RUNC_FILES = [
  "cpuinfo",
  "diskstats",
  "loadavg",
  "meminfo",
  "slabinfo",
  "stat",
  "swaps",
  "uptime",
].map((name) => `/proc/${name}`);

/** Files that common hosts lack: without its source a bind mount fails. The page names them. */
const UNCOMMON = ["/proc/schedstat", "/proc/spl/kstat/zfs/arcstats"];

/** Directories that are bound as a whole. */
const DIRECTORIES = ["/sys/devices/system/cpu", "/sys/devices/system/node"];

function mountLine({ path, mode }) {
  // What containers may write to is not read-only.
  const options = ["bind", ...(/2$/.test(mode) || /6$/.test(mode) ? [] : ["ro"])];
  const all = [...options, "nosuid", "nodev", "noexec"].map((word) => `"${word}"`).join(", ");
  return `{ "destination": "${path}", "type": "bind", "source": "${TREE}${path}", "options": [${all}] }`;
}

function json(rows) {
  return `\`\`\`json\n${rows.map(mountLine).join(",\n")}\n\`\`\``;
}

function podman(rows) {
  const lines = rows.map(({ path }) => `  -v ${TREE}${path}:${path}:ro \\`);
  return ["```sh", "podman run -m 256m \\", ...lines, "  debian free -m", "```"].join("\n");
}

/** The page with its blocks made again. `views` have a path and a mode; `fail(message)` throws. */
export function withBinds(page, views, fail) {
  const files = views
    .filter(({ path }) => path.startsWith("/proc/") && !UNCOMMON.includes(path))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const directories = DIRECTORIES.map((path) => ({ path, mode: "0555" }));
  const runc = [...files.filter(({ path }) => RUNC_FILES.includes(path)), ...directories];
  const blocks = {
    runc: json(runc),
    crun: json(files.filter(({ path }) => !RUNC_FILES.includes(path))),
    podman: podman(runc),
  };
  return Object.entries(blocks).reduce((text, [name, block]) => {
    const [begin, end] = [`<!-- binds of ${name}: made by docs/binds.mjs -->`, "<!-- /binds -->"];
    const [before, rest] = text.split(begin);
    const at = rest?.indexOf(end) ?? -1;
    if (at < 0) {
      fail(`docs/guide/containers.md has no place for its binds: ${begin} … ${end}`);
    }
    return `${before}${begin}\n${block}\n${rest.slice(at)}`;
  }, page);
}
