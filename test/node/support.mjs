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

Unless the row says otherwise, a node runs one container of each runtime that it has: Docker, podman as root and
rootless, containerd (\`ctr\`), Incus, LXC and systemd-nspawn, each with 128 MiB and one CPU. "Its own"
means its memory, its CPUs and its uptime. Readers check every byte of what they read.

## Notes

${notes.join("\n")}

## Fifty containers

On Debian 13 the first of 50 containers has its files 12 s after \`systemctl start\`, and the last one after 16 s. On the
machine outside the emulation it is 0.5 s for the first and 0.7 s for the last (median of three, 0.6 to 0.7). That is 23
times as long; the goal was five times. The emulation rules that out, because programs other than vprocfs are slowed
down as much: a loop takes 14 times as long, a start of Node.js 27 times, and starting processes 32 times. Besides the
start of the service, 50 containers cost the machine outside 0.4 s of CPU time.

## arm64

Packages for that node are built by the same script from the same sources, with Debian's cross compilers, because
compiling under emulation takes hours. Emulation is slow, so scenarios marked "not run" have not been tried there yet.
The unit tests of the addon (test/view, test/source, test/container) ran for arm64 with Debian 13's Node.js under
QEMU's user-mode emulation: 2,308 of 2,311 pass. Three are too slow there: both tests "take less than a fifth of a
CPU" (test/source/kernel-log.test.ts) and the clean-up of "a host of 512 CPUs" (test/view/mirror.test.ts).

## Not tried here

- **Kubernetes**: Debian has no kubelet and no crictl, so nothing has asked containerd's CRI for a pod. The
  parts of a pod are tested with containerd (containers that share a PID namespace with a pause container). The agent
  runs in a privileged container of containerd, as above. A test checks everything that the manifest refers to
  (test/config/kubernetes.test.ts), and all its documents are valid by the API schemas of the npm package
  kubernetes-models 4.5.1 (checked by hand).
- **SELinux** (OpenShift, Fedora CoreOS, MicroOS): its policy says whether containers may read files of a FUSE file system.
  Older policies may need \`setsebool -P virt_sandbox_use_fusefs on\`.
- **Checkpoints** on these nodes: Debian 13 has no CRIU. With Debian 12's (3.17) and Linux 6.1 containers of runc
  and LXC are tried in test/e2e/vm.
- **Proxmox, Ubuntu, CentOS and others**: their packages are not in Debian's archive.
- **Real hardware and KVM**: only deadlines depend on how fast the machine is.
`;
}
