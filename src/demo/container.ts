import { type ChildProcess, spawn } from "node:child_process";
import { messageOf, VprocfsError } from "../errors.js";
import { PROC_FILES } from "./figures.js";

/** Enters the cgroups given before "--", then becomes what stands after it. */
const ENTER = `
while [ "$1" != -- ]; do
  echo $$ > "$1/cgroup.procs" || exit 1
  shift
done
shift
exec "$@"
`;

/** Puts the files of the tree `$1` in place. */
export const BIND_TREE = `
tree=$1
for file in "$tree"/proc/*; do
  target=/proc/\${file##*/}
  [ ! -f "$target" ] || mount --bind "$file" "$target" || exit 1
done
target=/sys/devices/system/cpu/online
mount --bind "$tree$target" "$target" || exit 1
`;

/** The container's init: puts the files in place and shows what it sees then. */
const INIT = `${BIND_TREE}
sleep 2
shift
for file; do
  echo "@@ $file"
  cat "$file" || exit 1
done
`;

const NAMESPACES = ["--pid", "--mount", "--uts", "--ipc", "--cgroup"];

/** Splits what the container printed into its files. */
function splitFiles(output: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const part of output.split(/^@@ /m).slice(1)) {
    const end = part.indexOf("\n");
    files.set(part.slice(0, end), part.slice(end + 1));
  }
  return files;
}

function finished(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
}

/** Runs a shell script as the init of a container, to its end; returns what it printed. */
export async function runInit(
  directories: readonly string[],
  script: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  const unshare = ["unshare", "--fork", "--kill-child", ...NAMESPACES, "--mount-proc"];
  const init = ["/bin/sh", "-c", script, "init", ...args];
  const child = spawn(
    "/bin/sh",
    ["-c", ENTER, "enter", ...directories, "--", ...unshare, ...init],
    {
      stdio: ["ignore", "pipe", "inherit"],
      signal,
      killSignal: "SIGKILL",
    },
  );
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  let status: number | null;
  try {
    status = await finished(child);
  } catch (error) {
    signal.throwIfAborted();
    throw new VprocfsError("SYSTEM", `the container did not start: ${messageOf(error)}`);
  }
  if (status !== 0) {
    throw new VprocfsError("SYSTEM", `the container failed with exit status ${status}`);
  }
  return output;
}

/** Runs the container to its end; returns the files as it saw them. */
export async function runContainer(
  directories: readonly string[],
  tree: string,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  return splitFiles(await runInit(directories, INIT, [tree, ...PROC_FILES], signal));
}
