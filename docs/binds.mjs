// The bind mounts in docs/guide/containers.md, out of the table of views: the page is written by hand
// but for what stands between its markers.

import { DIRECTORIES, RUNC_FILES } from "./views.mjs";

const TREE = "/var/lib/vprocfs";

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

/** The page with its blocks made again; `fail(message)` throws. */
export function withBinds(page, views, fail) {
  // Without its source a bind mount fails: the page names files that common hosts lack.
  const files = views
    .filter(({ path, description }) => path.startsWith("/proc/") && description.common)
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const directories = DIRECTORIES.map(({ path }) => ({ path, mode: "0555" }));
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
