// Names that people gave to containers, from the files that runtimes keep.

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { findContainer } from "../../src/containers/find.js";
import { GivenNames } from "../../src/containers/given-names.js";
import { runtimeNames } from "../../src/containers/runtime-names.js";
import { containerTable } from "../../src/containers/table.js";
import { outputSync } from "../support/command.js";
import { container, fakeBinding } from "../support/fake-binding.js";
import { testName } from "../support/names.js";

const ID = "d09fb227b161bae425a963b409d5ef8334e923f50dd465038ad6fd434b8850eb";
const OTHER = "0bfa482d95241abfd8edb66130ae2426882416fa6237a13a60c1196aa784e9cd";

const DOCKER = `var/lib/docker/containers/${ID}/config.v2.json`;
const PODMAN = "var/lib/containers/storage/overlay-containers/containers.json";
const CRIO = `var/lib/containers/storage/overlay-containers/${ID}/userdata/config.json`;
const TASKS = "run/containerd/io.containerd.runtime.v2.task";
const POD = `${TASKS}/k8s.io/${ID}/config.json`;

/** In Docker's form, shortened. */
const dockers = (name: unknown): string =>
  JSON.stringify({
    StreamConfig: {},
    State: { Running: true, Pid: 4711, StartedAt: "2025-10-01T12:00:00.1Z" },
    ID,
    Config: { Hostname: ID.slice(0, 12), Env: ["PATH=/bin"], Labels: {} },
    Name: name,
    Driver: "overlay2",
  });

/** As podman 4.3 wrote it. */
const podmans = JSON.stringify([
  {
    id: ID,
    names: ["web1"],
    image: "b2fedec4009a86b711710ed83fea9cb9c612f6df3a2c67f829bdb4946762f0b1",
    layer: "e1b8bbf5deddd9b0ea22d27c200434e56630227d7049df90d8759aa40cd431c4",
    metadata: '{"image-name":"localhost/x:latest","name":"web1","created-at":1795662365}',
    created: "2026-11-26T03:06:05.433513744Z",
    flags: { MountLabel: "", ProcessLabel: "" },
  },
]);

/** Of a runtime's config.json what is read. */
const spec = (annotations: unknown): string =>
  JSON.stringify({ ociVersion: "1.1.0", process: { args: ["sh"] }, annotations });

const criOf = (type: "container" | "sandbox"): string =>
  spec({
    "io.kubernetes.cri.container-type": type,
    ...(type === "container" ? { "io.kubernetes.cri.container-name": "app" } : {}),
    "io.kubernetes.cri.sandbox-id": OTHER,
    "io.kubernetes.cri.sandbox-name": "web-0",
    "io.kubernetes.cri.sandbox-namespace": "shop",
  });

const crioOf = (type: "container" | "sandbox"): string =>
  spec({
    "io.kubernetes.cri-o.ContainerType": type,
    "io.kubernetes.container.name": type === "container" ? "app" : "POD",
    "io.kubernetes.pod.name": "web-0",
    "io.kubernetes.pod.namespace": "shop",
  });

const IN_POD = ["web-0/app", "shop/web-0/app", "app", "web-0"];

function tree(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), testName("names-")));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

/** The names in the files below `root`, of containers that all are root's. */
const namesIn = (root: string) => {
  const namesOf = runtimeNames(root, () => true);
  return (one: { readonly name: string; readonly runtime: string }) =>
    namesOf({ ...one, cgroup: "/" });
};

describe("runtime names", () => {
  it.each([
    ["Docker", "docker", DOCKER, dockers("/web1"), ["web1"]],
    [
      "the kubelet's Docker",
      "kubernetes",
      DOCKER,
      dockers("/k8s_app_web-0_shop_0f9f_0"),
      [...IN_POD, "k8s_app_web-0_shop_0f9f_0"],
    ],
    ["podman", "podman", PODMAN, podmans, ["web1"]],
    ["podman, vfs", "podman", PODMAN.replace("overlay", "vfs"), podmans, ["web1"]],
    [
      "podman, transient",
      "podman",
      "run/containers/storage/overlay-containers/volatile-containers.json",
      podmans,
      ["web1"],
    ],
    [
      "nerdctl",
      "containerd",
      `${TASKS}/default/${ID}/config.json`,
      spec({ "nerdctl/name": "web1", "nerdctl/namespace": "default" }),
      ["web1"],
    ],
    ["containerd, pod", "containerd", POD, criOf("container"), IN_POD],
    ["containerd, pod, cgroupfs", "kubernetes", POD, criOf("container"), IN_POD],
    ["k3s", "containerd", POD.replace("run/", "run/k3s/"), criOf("container"), IN_POD],
    ["containerd, pause", "containerd", POD, criOf("sandbox"), []],
    ["CRI-O", "crio", CRIO, crioOf("container"), IN_POD],
    ["CRI-O, pause", "crio", CRIO, crioOf("sandbox"), []],
    ["a cgroup of one's own choice", "", DOCKER, dockers("/web1"), ["web1"]],
    ["LXC, which names its cgroups itself", "lxc", DOCKER, dockers("/web1"), []],
  ])("%s", (_what, runtime, path, text, names) => {
    const namesOf = namesIn(tree({ [path]: text }));
    expect(namesOf({ name: ID, runtime })).toEqual(names);
    expect(namesOf({ name: OTHER, runtime })).toEqual([]);
  });

  it("Docker with its data elsewhere and with users of its own", () => {
    const path = `srv/data/1000.1000/containers/${ID}/config.v2.json`;
    const settings = { "etc/docker/daemon.json": '{"data-root": "/srv/data"}' };
    const namesOf = namesIn(tree({ ...settings, [path]: dockers("/web1") }));
    expect(namesOf({ name: ID, runtime: "docker" })).toEqual(["web1"]);
  });

  it.each([
    ["docker", DOCKER, ""],
    ["docker", DOCKER, "{"],
    ["docker", DOCKER, "null"],
    ["docker", DOCKER, "[]"],
    ["docker", DOCKER, dockers(7)],
    ["docker", DOCKER, dockers("/")],
    ["docker", DOCKER, dockers(`/${"x".repeat(2000)}`)],
    ["podman", PODMAN, "{}"],
    ["podman", PODMAN, `[null, 7, {"id": "${ID}"}, {"id": "${ID}", "names": [7, "", null]}]`],
    ["containerd", POD, spec(null)],
    ["containerd", POD, spec({ "io.kubernetes.cri.container-name": "app" })],
    ["crio", CRIO, spec([])],
  ])("%s: what is not understood is no name: %s %.40s", (runtime, path, text) => {
    expect(namesIn(tree({ [path]: text }))({ name: ID, runtime })).toEqual([]);
  });

  it("is not looked for in what is large, a link, a pipe or a directory", () => {
    const root = tree({ [DOCKER]: dockers("/web1"), elsewhere: dockers("/web1") });
    const path = join(root, DOCKER);
    const now = (): readonly string[] => namesIn(root)({ name: ID, runtime: "docker" });
    expect(now()).toEqual(["web1"]);
    truncateSync(path, 1 << 30);
    expect(now()).toEqual([]);
    rmSync(path);
    symlinkSync(join(root, "elsewhere"), path);
    expect(now()).toEqual([]);
    rmSync(path);
    outputSync(["mkfifo", path]);
    expect(now()).toEqual([]);
    rmSync(path);
    mkdirSync(path);
    expect(now()).toEqual([]);
  });

  it("are not those of a container whose cgroup a user of the host has named by its id", () => {
    const isMadeByRoot = ({ cgroup }: { readonly cgroup: string }) => cgroup.startsWith("/docker");
    const namesOf = runtimeNames(tree({ [DOCKER]: dockers("/web1") }), isMadeByRoot);
    const of = (cgroup: string) => namesOf({ name: ID, runtime: "docker", cgroup });
    expect(of(`/docker/${ID}`)).toEqual(["web1"]);
    expect(of(`/user.slice/user-1000.slice/docker-${ID}.scope`)).toEqual([]);
  });

  it("never leads to another place", () => {
    const namesOf = namesIn(tree({ "var/lib/docker/config.v2.json": dockers("/web1") }));
    for (const name of ["..", ".", "", `../${ID}`, "a/../..", "a\0b"]) {
      expect(namesOf({ name, runtime: "docker" })).toEqual([]);
    }
  });
});

describe("findContainer by runtime names", () => {
  const docker = container({ id: "11", tenant: "11", name: ID, runtime: "docker" });
  const podman = container({ id: "22", tenant: "22", name: OTHER, runtime: "podman" });
  const lxc = container({ id: "33", tenant: "33", name: "db1" });
  const inner = container({ id: "44", tenant: "11", name: `${ID}/app` });
  const evil = container({ id: "55", tenant: "33", name: "db1/web1" });
  const binding = fakeBinding([evil, inner, docker, podman, lxc]);
  const names = new Map([
    [ID, ["web1"]],
    [OTHER, ["db1", "shop/db"]],
  ]);
  const find = (word: string) =>
    findContainer(
      binding,
      word,
      () => true,
      ({ name }) => names.get(name) ?? [],
    );

  it("finds by name, by id and its beginning, and one within by either", () => {
    expect(find("web1")).toBe(docker);
    expect(find("shop/db")).toBe(podman);
    expect(find(ID)).toBe(docker);
    expect(find("d09f")).toBe(docker);
    expect(find("web1/app")).toBe(inner);
    expect(find("d09f/app")).toBe(inner);
    expect(find("db1/web1")).toBe(evil);
  });

  it("lists those that are meant, with runtime and id", () => {
    const message = "several containers are named 'db1', use an id: 22 (podman db1), 33 (lxc db1)";
    expect(() => find("db1")).toThrow(message);
  });

  it("knows what was nearly meant", () => {
    expect(() => find("wbe1")).toThrow("no container 'wbe1', did you mean 'web1'?");
  });
});

describe("given names", () => {
  const docker = container({ id: "11", tenant: "11", name: ID, runtime: "docker" });
  const inner = container({ id: "12", tenant: "11", name: `${ID}/app`, runtime: "lxc" });
  const lxc = container({ id: "33", name: "db1" });

  it("are of containers that people know by another name, and of what is in them", () => {
    const given = new GivenNames(
      () =>
        ({ name }) =>
          name === ID ? ["web1", "other"] : [name],
    );
    expect([...given.of([inner, docker, lxc])]).toEqual([
      ["12", "web1/app"],
      ["11", "web1"],
    ]);
  });

  it("are not of what is in a container of the same name, either", () => {
    const cgroup = "/user.slice/x";
    const users = container({ id: "21", tenant: "21", name: ID, runtime: "docker", cgroup });
    const within = container({ id: "22", tenant: "21", name: `${ID}/app`, cgroup: `${cgroup}/y` });
    const given = new GivenNames(() => (one) => (one.cgroup === docker.cgroup ? ["web1"] : []));
    expect([...given.of([within, inner, docker, users])]).toEqual([
      ["12", "web1/app"],
      ["11", "web1"],
    ]);
  });

  it("are looked up once, and again for a container that is new", () => {
    const asked: string[] = [];
    const given = new GivenNames(() => ({ name }) => {
      asked.push(name);
      return [];
    });
    given.of([docker]);
    given.of([docker, lxc]);
    expect(asked).toEqual([ID, "db1"]);
    given.of([]);
    given.of([docker]);
    expect(asked).toEqual([ID, "db1", ID]);
  });

  it("have a column in the list where there are any", () => {
    const head = (given: ReadonlyMap<string, string>): string | undefined =>
      containerTable([docker, lxc], given).split("\n")[0];
    expect(head(new Map())).toMatch(/^ID +NAME +RUNTIME/);
    expect(head(new Map([["11", "web1"]]))).toMatch(/^ID +NAME +GIVEN NAME +RUNTIME/);
    const [, first, second] = containerTable([docker, lxc], new Map([["11", "a\nb"]])).split("\n");
    expect(first).toMatch(new RegExp(`^11 +${ID} +a\\\\x0ab +docker `));
    expect(second).toMatch(/^33 +db1 +- +lxc /);
  });
});
