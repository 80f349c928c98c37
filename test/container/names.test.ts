// What containers are called, by paths as the runtimes make them.

import { describe, expect, it } from "vitest";
import { nameContainer } from "../support/testing.js";

const ID = "4f1c7a".padEnd(64, "0");
const OTHER = "9be203".padEnd(64, "1");
const UID = "0f9f6e4b-66ae-4d1e-9a4e-0d4c1f3a2b10";
const POD = `kubepods-burstable-pod${UID.replaceAll("-", "_")}.slice`;
const BURSTABLE = `/kubepods.slice/kubepods-burstable.slice/${POD}`;
const USER = "/user.slice/user-1000.slice/user@1000.service/user.slice";
const OSCTL = "/osctl/pool.tank/group.default/user.x/ct.web1/user-owned";

describe("the name of a container", () => {
  it.each([
    ["Docker, cgroupfs", `/docker/${ID}`, ID, "docker"],
    ["Docker, systemd", `/system.slice/docker-${ID}.scope`, ID, "docker"],
    ["Docker, rootless", `${USER}/docker-${ID}.scope`, ID, "docker"],
    ["podman, cgroupfs", `/libpod_parent/libpod-${ID}`, ID, "podman"],
    ["podman, cgroupfs, pod", `/libpod_parent/${OTHER}/libpod-${ID}`, ID, "podman"],
    ["podman, runc", `/machine.slice/libpod-${ID}.scope`, ID, "podman"],
    ["podman, crun", `/machine.slice/libpod-${ID}.scope/container`, ID, "podman"],
    [
      "podman, pod",
      `/machine.slice/machine-libpod_pod_${OTHER}.slice/libpod-${ID}.scope/container`,
      ID,
      "podman",
    ],
    ["podman, rootless", `${USER}/libpod-${ID}.scope/container`, ID, "podman"],
    ["quadlet", `/system.slice/web.service/libpod-payload-${ID}`, ID, "podman"],
    ["quadlet, crun", `/system.slice/web.service/libpod-payload-${ID}/container`, ID, "podman"],
    ["containerd, pod, systemd", `${BURSTABLE}/cri-containerd-${ID}.scope`, ID, "containerd"],
    ["CRI-O, pod, systemd", `${BURSTABLE}/crio-${ID}.scope`, ID, "crio"],
    ["CRI-O, pod, crun", `${BURSTABLE}/crio-${ID}.scope/container`, ID, "crio"],
    ["CRI-O, pod, cgroupfs", `/kubepods/burstable/pod${UID}/crio-${ID}`, ID, "crio"],
    ["pod, cgroupfs", `/kubepods/burstable/pod${UID}/${ID}`, ID, "kubernetes"],
    ["pod, guaranteed", `/kubepods/pod${UID}/${ID}`, ID, "kubernetes"],
    ["pod, kubelet's own root", `/kubelet/kubepods/besteffort/pod${UID}/${ID}`, ID, "kubernetes"],
    ["Docker, pod", `${BURSTABLE}/docker-${ID}.scope`, ID, "docker"],
    ["containerd", "/default/web1", "web1", "containerd"],
    ["containerd, k8s.io", `/k8s.io/${ID}`, ID, "containerd"],
    ["nerdctl, systemd", `/system.slice/nerdctl-${ID}.scope`, ID, "containerd"],
    ["LXC, Incus, LXD", "/lxc.payload.web1", "web1", "lxc"],
    ["Incus, project", "/lxc.payload.shop_web1", "shop_web1", "lxc"],
    ["LXC 3", "/lxc.payload/web1", "web1", "lxc"],
    ["LXC, LXD, v1", "/lxc/web1", "web1", "lxc"],
    ["Proxmox", "/lxc/100/ns", "100", "lxc"],
    ["LXC, of a user", `${USER}/lxc.payload.web1`, "web1", "lxc"],
    ["LXC, with the word that others use", "/lxc/container", "container", "lxc"],
    ["nspawn", "/machine.slice/systemd-nspawn@web.service/payload", "web", "systemd-nspawn"],
    ["nspawn, v1", "/machine.slice/systemd-nspawn@web.service", "web", "systemd-nspawn"],
    ["nspawn, shell", "/machine.slice/machine-web.scope/payload", "web", "systemd-nspawn"],
    ["machined", "/machine.slice/machine-web\\x2d1.scope", "web-1", "systemd-nspawn"],
    ["nspawn, --keep-unit", "/system.slice/web.service/payload", "web", "systemd-nspawn"],
    ["osctl", `${OSCTL}/lxc.payload.web1`, "web1", "lxc"],
    ["runc", "/system.slice/runc-web1.scope", "web1", "runc"],
    ["runc, cgroupfs", "/web1", "web1", ""],
    ["crun", "/system.slice/crun-web1.scope/container", "web1", "crun"],
    ["another with crun", "/system.slice/ours-web1.scope/container", "ours-web1", ""],
    ["nobody's", "/a/b", "b", ""],
    ["nobody's scope", "/system.slice/ours.scope", "ours.scope", ""],
    ["an affix alone", "/system.slice/docker-.scope", "docker-.scope", ""],
    ["podman's monitor", "/libpod_parent/libpod-conmon-4f1c", "libpod-conmon-4f1c", ""],
    ["the root", "/", "/", ""],
  ])("%s: %s", (_what, cgroup, name, runtime) => {
    expect(nameContainer(cgroup, cgroup)).toEqual({ name, runtime });
  });

  it.each([
    ["/lxc.payload.web1/lxc.payload.inner", "/lxc.payload.web1", "web1/inner", "lxc"],
    ["/lxc.payload.web1/lxc/inner", "/lxc.payload.web1", "web1/inner", "lxc"],
    ["/lxc.payload.web1/docker/inner", "/lxc.payload.web1", "web1/inner", "docker"],
    [`/docker/${ID}/docker/${OTHER}`, `/docker/${ID}`, `${ID}/${OTHER}`, "docker"],
    [
      `/lxc.payload.web1/system.slice/docker-${ID}.scope`,
      "/lxc.payload.web1",
      `web1/${ID}`,
      "docker",
    ],
    [
      `/machine.slice/libpod-${ID}.scope/container/libpod_parent/libpod-${OTHER}/container`,
      `/machine.slice/libpod-${ID}.scope/container`,
      `${ID}/${OTHER}`,
      "podman",
    ],
    [
      `/docker/${ID}/kubelet.slice/${BURSTABLE}/cri-containerd-${OTHER}.scope`,
      `/docker/${ID}`,
      `${ID}/${OTHER}`,
      "containerd",
    ],
    ["/a/b/c", "/a", "a/c", ""],
    // Of three, the one in the middle is not named.
    ["/lxc.payload.a/lxc.payload.b/lxc.payload.c", "/lxc.payload.a", "a/c", "lxc"],
  ])("is told with its tenant's: %s", (cgroup, tenant, name, runtime) => {
    expect(nameContainer(cgroup, tenant)).toEqual({ name, runtime });
  });

  it.each([
    [
      "within a container's, entered by its init",
      "/lxc.payload.evil/lxc.payload.web1",
      "evil/web1",
    ],
    ["the same with a directory between", `/docker/${ID}/x/lxc.payload.web1`, `${ID}/web1`],
    [
      "what nspawn keeps for itself",
      "/machine.slice/machine-web.scope/supervisor",
      "web/supervisor",
    ],
    ["an escaped slash", "/machine.slice/machine-a\\x2fb.scope", "a\\x2fb"],
    ["escapes of nothing", "/machine.slice/machine-a\\x0a\\x2\\xzz.scope", "a\\x0a\\x2\\xzz"],
  ])("is nobody else's: %s", (_what, cgroup, name) => {
    expect(nameContainer(cgroup, cgroup).name).toBe(name);
  });
});
