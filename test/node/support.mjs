// docs/reference/support.md: what was seen on which node, from the outcomes that `run.mjs --keep` has written.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { NODES } from "./nodes.mjs";
import { SCENARIOS } from "./scenarios/index.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const escaped = (text) => text.replaceAll("|", "\\|");

function outcomesOf({ name }) {
  const file = join(here, "results", `${name}.json`);
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
}

/** The text of docs/reference/support.md. */
export function supportPage() {
  const columns = NODES.map((kind) => ({ ...kind, outcomes: outcomesOf(kind) }));
  const reasons = [];
  const cell = (outcome) => {
    if (outcome === undefined) {
      return "not run";
    }
    const text = outcome.reason ?? outcome.notes?.join("; ");
    if (text === undefined) {
      return outcome.result;
    }
    reasons.push(text);
    return `${outcome.result} [${reasons.length}]`;
  };
  const rows = SCENARIOS.map(({ name, title }) => {
    const cells = columns.map(({ outcomes }) => cell(outcomes[name]));
    return `| ${escaped(title)} | ${cells.join(" | ")} |`;
  });
  const notes = reasons.map((text, index) => `${index + 1}. ${escaped(text)}`);
  return `<!-- Made by docs/generate.mjs from test/node/results: run 'npm run test:node -- --keep'. -->

# What works where

Each row is a scenario that \`npm run test:node\` runs on booted nodes: machines with systemd, the
distribution's kernel and its own packages of every runtime. **pass** is a promise. Nodes run in QEMU
without KVM, 10 to 30 times slower than real ones; times in the notes are from there.

| | ${columns.map(({ title }) => title).join(" | ")} |
|---|${columns.map(() => "---").join("|")}|
${rows.join("\n")}

Unless told otherwise a node runs one container of each runtime that it has: Docker, podman as root and
rootless, containerd (\`ctr\`), Incus, LXC and systemd-nspawn, each with 128 MiB and one CPU. "Its own"
means its memory, its CPUs and its uptime. Readers check every byte of what they read.

## Notes

${notes.join("\n")}

## Fifty containers

On Debian 13 the last of 50 containers is served 16 s after \`systemctl start\`, the first one after 12 s; on the machine
outside the last one after 0.7 s (median of three, 0.6 to 0.7), the first after 0.5 s. That is 23 times as long; the aim
was five times. This emulation cannot reach that, because even what is not vprocfs takes 14 times (a loop), 27 times
(a start of Node.js) and 32 times (processes) as long there. 50 containers cost the machine outside 0.4 s of CPU time,
besides the start of the service.

## arm64

Packages for that node are built by the same script of the same sources, with Debian's cross compilers: to
compile there takes hours. Emulation is slow: what says "not run" there has not been tried yet.
The unit tests of the addon (test/view, test/source, test/container) ran for arm64 in Debian 13's Node.js and
QEMU's emulation of programs: 2,308 of 2,311 pass, and three are too slow there: both of "take less than a
fifth of a CPU" (test/source/kernel-log.test.ts) and the clean-up of "a host of 512 CPUs"
(test/view/mirror.test.ts).

## Not tried here

- **Kubernetes**: Debian has no kubelet and no crictl, so nothing has asked containerd's CRI for a pod. What a
  pod is made of is tried by containerd (containers that share a PID namespace with a pause container). The agent runs
  in a privileged container of containerd, as above. The manifest is
  tested for what it names (test/config/kubernetes.test.ts); by the schemas of the API, as npm's package
  kubernetes-models 4.5.1 has them, all its documents are valid (tried by hand).
- **Checkpoints** on these nodes: Debian 13 has no CRIU. With Debian 12's (3.17) and Linux 6.1 containers of runc
  and LXC are tried in test/e2e/vm.
- **Proxmox, Ubuntu, CentOS and others**: their packages are not in Debian's archive.
- **Real hardware and KVM**: nothing here depends on how fast the machine is, but for deadlines.
`;
}
