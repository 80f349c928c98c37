/**
 * The names that people gave to containers whose cgroups are named by ids, read from files of the runtimes:
 * asking a runtime's daemon could hang. A file that cannot be read or parsed has no names. Rootless and
 * nested containers are not looked up, because their files are under the control of others, and so are the names of
 * their cgroups.
 */

import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import type { ContainerIdentity } from "../native/binding.js";
import { type MadeByRoot, madeByRoot } from "./made-by-root.js";

/** The given names of a container, the best first. */
export type RuntimeNames = (
  container: Pick<ContainerIdentity, "name" | "runtime" | "cgroup">,
) => readonly string[];

/** Largest file of one container, and largest list of all containers in a store, that is read. */
const MAX_FILE_BYTES = 4 << 20;
const MAX_LIST_BYTES = 32 << 20;
/** Longer names are ignored. */
const MAX_NAME_LENGTH = 1024;
/** Namespaces of containerd that are searched. */
const MAX_NAMESPACES = 64;

const HASH = /^[\da-f]{64}$/;
/** An id as containerd allows it. It is used as a component of a path and cannot lead upwards. */
const ID = /^[A-Za-z0-9][\w.-]{0,254}$/;

const DOCKER = "var/lib/docker";
const DOCKER_SETTINGS = "etc/docker/daemon.json";
/** Directories of Docker with `userns-remap`. */
const REMAPPED = /^\d+\.\d+$/;
const CONTAINERD = ["run/containerd", "run/k3s/containerd"].map((state) =>
  join(state, "io.containerd.runtime.v2.task"),
);
const STORES = ["var/lib/containers/storage", "run/containers/storage"];
const STORE_FILES = ["containers.json", "volatile-containers.json"];
const DRIVERS = ["overlay", "vfs", "btrfs", "zfs"];

/** Undefined: it is not a regular file of at most `maxBytes` that holds JSON. */
function readJson(path: string, maxBytes: number): unknown {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    const facts = fstatSync(fd);
    if (!facts.isFile() || facts.size > maxBytes) {
      return undefined;
    }
    // If the file grows meanwhile, the part that was read is not valid JSON.
    const bytes = Buffer.alloc(facts.size);
    return JSON.parse(bytes.toString("utf8", 0, readSync(fd, bytes, 0, facts.size, 0)));
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) {
      closeSync(fd);
    }
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}

/** A member of an object; undefined if `value` is not an object or has no such member. */
function member(value: unknown, key: string): unknown {
  const isObject = typeof value === "object" && value !== null && Object.hasOwn(value, key);
  return isObject ? (value as Readonly<Record<string, unknown>>)[key] : undefined;
}

/** A member that is a name, else "". */
function nameIn(value: unknown, key: string): string {
  const name = member(value, key);
  return typeof name === "string" && name.length <= MAX_NAME_LENGTH ? name : "";
}

/** A container in a pod is found by its own name, by its pod's, and by both together. */
function namesInPod(namespace: string, pod: string, container: string): string[] {
  if (pod === "" || container === "") {
    return [];
  }
  const full = namespace === "" ? [] : [`${namespace}/${pod}/${container}`];
  return [`${pod}/${container}`, ...full, container, pod];
}

/** Where Docker keeps its containers. */
function dockerDirectories(root: string): string[] {
  const set = nameIn(readJson(join(root, DOCKER_SETTINGS), MAX_FILE_BYTES), "data-root");
  const data = join(root, set === "" ? DOCKER : set);
  const remapped = list(data).filter((name) => REMAPPED.test(name));
  return ["", ...remapped].map((below) => join(data, below, "containers"));
}

function ofDocker(directories: readonly string[], id: string): string[] {
  const names = directories.map((directory) =>
    nameIn(readJson(join(directory, id, "config.v2.json"), MAX_FILE_BYTES), "Name"),
  );
  const bare = (names.find((name) => name !== "") ?? "").replace(/^\//, "");
  if (bare === "") {
    return [];
  }
  // The kubelet's form: k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT. Labels are not used, because an image can set them.
  const [kubelet, container = "", pod = "", namespace = ""] = bare.split("_");
  const isOfPod = kubelet === "k8s" && container !== "POD";
  return [...(isOfPod ? namesInPod(namespace, pod, container) : []), bare];
}

function ofContainerd(root: string, id: string): string[] {
  for (const tasks of CONTAINERD) {
    for (const namespace of list(join(root, tasks)).slice(0, MAX_NAMESPACES)) {
      const spec = readJson(join(root, tasks, namespace, id, "config.json"), MAX_FILE_BYTES);
      const annotations = member(spec, "annotations");
      const cri = (key: string): string => nameIn(annotations, `io.kubernetes.cri.${key}`);
      const nerdctl = nameIn(annotations, "nerdctl/name");
      const names = [
        ...(nerdctl === "" ? [] : [nerdctl]),
        ...namesInPod(cri("sandbox-namespace"), cri("sandbox-name"), cri("container-name")),
      ];
      if (names.length > 0) {
        return names;
      }
    }
  }
  return [];
}

function ofCrio(root: string, id: string): string[] {
  for (const store of STORES) {
    for (const driver of DRIVERS) {
      const path = join(root, store, `${driver}-containers`, id, "userdata/config.json");
      const annotations = member(readJson(path, MAX_FILE_BYTES), "annotations");
      const of = (key: string): string => nameIn(annotations, `io.kubernetes.${key}`);
      if (of("cri-o.ContainerType") === "container") {
        return namesInPod(of("pod.namespace"), of("pod.name"), of("container.name"));
      }
    }
  }
  return [];
}

/** All names in the stores of podman by id. */
function podmanNames(root: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const files = STORES.flatMap((store) =>
    DRIVERS.flatMap((driver) =>
      STORE_FILES.map((file) => join(root, store, `${driver}-containers`, file)),
    ),
  );
  for (const file of files) {
    const entries = readJson(file, MAX_LIST_BYTES);
    for (const entry of Array.isArray(entries) ? entries : []) {
      const names = member(entry, "names");
      const good = (Array.isArray(names) ? names : []).filter(
        (name): name is string =>
          typeof name === "string" && name !== "" && name.length <= MAX_NAME_LENGTH,
      );
      found.set(nameIn(entry, "id"), good);
    }
  }
  return found;
}

/**
 * Looks names of root's containers up in the files below `root`. Files that list all containers are read once. A user of
 * the host could name a cgroup by the id of another container, and would have its names.
 */
export function runtimeNames(root = "/", isMadeByRoot: MadeByRoot = madeByRoot()): RuntimeNames {
  let stores: Map<string, string[]> | undefined;
  const ofPodman = (id: string): readonly string[] => {
    stores ??= podmanNames(root);
    return stores.get(id) ?? [];
  };
  let directories: string[] | undefined;
  const inDocker = (id: string): readonly string[] => {
    directories ??= dockerDirectories(root);
    return ofDocker(directories, id);
  };
  const look = (runtime: string, id: string): readonly string[] => {
    switch (runtime) {
      case "docker":
        return inDocker(id);
      case "podman":
        return ofPodman(id);
      case "crio":
        return ofCrio(root, id);
      case "containerd":
        return ofContainerd(root, id);
      case "kubernetes":
        return [...ofContainerd(root, id), ...inDocker(id)];
      case "":
        // A cgroup that an operator chose (docker run --cgroup-parent) does not say which runtime made it.
        return HASH.test(id) ? [...inDocker(id), ...ofPodman(id), ...ofContainerd(root, id)] : [];
      default:
        return [];
    }
  };
  return (container) =>
    ID.test(container.name) && isMadeByRoot(container)
      ? look(container.runtime, container.name)
      : [];
}
