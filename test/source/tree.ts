/** Cgroup trees in a temporary directory, as /sys/fs/cgroup. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import { testName } from "../support/names.js";
import { Source } from "../support/testing.js";

/** Contents by path below the root of the tree; a path that ends with "/" is a directory. */
export type Files = Readonly<Record<string, string>>;

const V1_CONTROLLERS = ["cpu", "cpuacct", "cpuset", "memory", "hugetlb"] as const;

/** An empty v1 tree with the container `path` in every hierarchy. */
export function v1Container(path: string): Files {
  return Object.fromEntries(V1_CONTROLLERS.map((controller) => [`${controller}${path}/`, ""]));
}

/** An empty v2 tree, all controllers on, with the container `path`. */
export function v2Container(path: string): Files {
  return { "cgroup.controllers": "cpuset cpu io memory hugetlb pids\n", [`.${path}/`]: "" };
}

/** The text of /proc/<pid>/cgroup of a process that is in `path` everywhere. */
function cgroupText(path: string): string {
  const v1 = V1_CONTROLLERS.map((controller, index) => `${index + 2}:${controller}:${path}\n`);
  return `${v1.join("")}1:name=systemd:${path}\n0::${path}\n`;
}

export class Tree {
  readonly root: string;

  /** Removed when the test that made it has ended. */
  constructor(files: Files) {
    this.root = mkdtempSync(join(tmpdir(), testName("tree-")));
    onTestFinished(() => rmSync(this.root, { recursive: true, force: true }));
    this.write(files);
  }

  write(files: Files): void {
    for (const [path, content] of Object.entries(files)) {
      const full = join(this.root, path);
      if (path.endsWith("/")) {
        mkdirSync(full, { recursive: true });
      } else {
        mkdirSync(dirname(full), { recursive: true });
        writeFileSync(full, content);
      }
    }
  }

  remove(path: string): void {
    rmSync(join(this.root, path), { recursive: true });
  }

  source(container: string, notify = false): Source {
    return this.sourceIn(cgroupText(container), notify);
  }

  /** With the text of the container's /proc/<pid>/cgroup. */
  sourceIn(text: string, notify = false): Source {
    return new Source(this.root, text, notify);
  }
}

/** The source of "/c" in a tree with `files`. */
export function sourceOf(version: "v1" | "v2", files: Files): Source {
  const empty = version === "v1" ? v1Container("/c") : v2Container("/c");
  return new Tree({ ...empty, ...files }).source("/c");
}

/** The `code` of the Error that `action` throws, or its result. */
export function codeOr<T>(action: () => T): T | string {
  try {
    return action();
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : String(error);
  }
}
