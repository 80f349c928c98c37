// Containers of all kinds, and what is done with them.

const without = (program) => (kind) => {
  const runtimes = { incus: ["trixie"] };
  return runtimes[program].includes(kind.suite) ? undefined : `no ${program} on this node`;
};

/** A container whose first program writes what it sees, before the watcher can have come. */
const FIRST = `sh -c "awk '/MemTotal/{print \\$2}' /proc/meminfo >/run/first; sleep 1000000"`;
/** The same as one word, without what shells would read. */
const PROGRAM = "grep MemTotal /proc/meminfo | tr -cd 0-9 >/run/first; sleep 1000000";

/** @type {import("./index.mjs").Scenario[]} */
export const containers = [
  {
    name: "names",
    title:
      "`vprocfs ls` and `show` know the runtime and the given name of each container; a rootless container is found by the beginning of its id",
    async run(bed) {
      await bed.sh(
        `vprocfs ls --json >/tmp/ls
        for one in $(everyone); do
            runtime=\${one%%:*} name=\${one#*:}
            case $runtime in rootless) runtime=podman ;; incus) runtime=lxc ;; nspawn) runtime=systemd-nspawn ;; esac
            pid_of "$one"
            seen=$(jq -r ".[] | select(.init == $PID) | .runtime" /tmp/ls)
            [ "$seen" = $runtime ] || fail "$one: its runtime is '$seen'"
            # Files of a user say nothing that root would go by.
            [ "\${one%%:*}" != rootless ] || name=$(as_op podman inspect -f '{{.Id}}' "$name" | head -c 12)
            seen=$(vprocfs show "$name" meminfo 2>&1 | awk '$1 == "MemTotal:" { print $2 }')
            [ "$seen" = $KIB ] || fail "vprocfs show $name: $(vprocfs show "$name" meminfo 2>&1 | head -n 1)"
        done`,
      );
    },
  },
  {
    name: "first-instruction",
    title: "with hooks the first instruction of podman, LXC and wrapped Docker sees its own",
    async run(bed) {
      await bed.sh(
        `printf '{"runtimes":{"vprocfs":{"path":"/usr/lib/vprocfs/vprocfs-runc"}}}' >/etc/docker/daemon.json
        systemctl reload docker
        within 60 sh -c 'docker info 2>/dev/null | grep -q vprocfs' || fail "Docker does not know the runtime"
        for runtime in docker podman lxc; do
            case $runtime in
            docker) MORE="--runtime vprocfs --tmpfs /run" ;;
            podman) MORE="--tmpfs /run" ;;
            lxc) MORE="lxc.hook.version = 1" ;;
            esac
            if [ $runtime = lxc ]; then
                root=$(own_root first-lxc)
                cat >$root/bin/first <<'PROGRAM'
#!/bin/sh
${FIRST}
PROGRAM
                chmod +x $root/bin/first
                start lxc first-lxc /bin/first
            else
                start $runtime first-$runtime ${FIRST}
            fi
            pid_of $runtime:first-$runtime
            within 60 test -s /proc/$PID/root/run/first || fail "$runtime: nothing written"
            seen=$(cat /proc/$PID/root/run/first)
            [ "$seen" = $KIB ] || fail "$runtime: the first instruction saw $seen kB"
        done
        [ -z "$(docker logs first-docker 2>&1)" ] || fail "docker logs: $(docker logs first-docker 2>&1 | head -n 1)"`,
      );
    },
  },
  {
    name: "base-spec",
    title: "with our hook in containerd's base runtime spec the first instruction sees its own",
    async run(bed) {
      await bed.sh(
        `hook=$(ls /usr/share/containers/oci/hooks.d/*vprocfs*.json /etc/containers/oci/hooks.d/*vprocfs*.json 2>/dev/null | head -n 1)
        # As packaging/containerd/README.md has it, and then what containerd adds to it for a container.
        ctr oci spec | jq --slurpfile h "$hook" '.hooks.createRuntime += [$h[0].hook] | del(.process.rlimits)' >/tmp/base.json
        jq -e '.process | has("rlimits") | not' /tmp/base.json >/dev/null || fail "pods would get its limits: $(jq -c .process.rlimits /tmp/base.json)"
        jq --arg root "$(own_root first-ctr)" --arg program ${JSON.stringify(PROGRAM)} '.root.path = $root
            | .process.args = ["sh", "-c", $program] | .process.env = ["PATH=/bin:/sbin"] | .process.terminal = false
            | .linux.cgroupsPath = "/default/first-ctr" | .linux.resources.memory.limit = 134217728' /tmp/base.json >/tmp/spec.json
        ctr run -d --config /tmp/spec.json first-ctr >/tmp/start.log 2>&1 </dev/null || fail "it does not start: $(cat /tmp/start.log)"
        pid_of containerd:first-ctr
        within 60 test -s /proc/$PID/root/run/first || fail "nothing written"
        seen=$(cat /proc/$PID/root/run/first)
        [ "$seen" = $KIB ] || fail "the first instruction saw $seen kB"`,
      );
    },
  },
  {
    name: "docker-operations",
    title: "`docker update`, `exec`, `restart` and `pause`",
    async run(bed) {
      await bed.sh(
        `docker update -m 64m --memory-swap 64m --cpus 2 docker0 >/dev/null
        end=$((SECONDS + 30 * SLOW))
        until wrong=$(wrong docker:docker0 65536 2); [ -z "$wrong" ]; do [ $SECONDS -lt $end ] || fail "after update: $wrong"; sleep 0.5; done
        seen=$(docker exec docker0 awk '/MemTotal/{print $2}' /proc/meminfo)
        [ "$seen" = 65536 ] || fail "exec sees $seen kB"
        docker update -m 128m --memory-swap 128m --cpus 1 docker0 >/dev/null
        docker restart -t 0 docker0 >/dev/null
        own 20 docker:docker0
        docker pause docker0 >/dev/null; docker unpause docker0 >/dev/null
        own 20 docker:docker0`,
      );
    },
  },
  {
    name: "docker-live-restore",
    title: "containers that outlive a restart of Docker (`live-restore`)",
    async run(bed) {
      await bed.sh(
        `printf '{"live-restore":true}' >/etc/docker/daemon.json
        systemctl reload docker
        within 60 sh -c 'docker info -f "{{.LiveRestoreEnabled}}" | grep -q true' || fail "Docker does not know live-restore"
        pid_of docker:docker0; before=$PID
        systemctl restart docker
        [ "$(pid docker docker0)" = "$before" ] || fail "Docker has not kept the container"
        own 30 docker:docker0`,
      );
    },
  },
  {
    name: "docker-options",
    title: "`--privileged`, `--read-only`, `--cap-drop ALL`, `--cgroupns=host`, a user of its own",
    async run(bed) {
      await bed.sh(
        `MORE=--privileged start docker privileged
        MORE=--read-only start docker readonly
        MORE="--cap-drop ALL" start docker capless
        MORE=--cgroupns=host start docker hostcgroup
        MORE="--user 1234:1234" start docker user
        MORE="--security-opt no-new-privileges" start docker nonew
        own 20 docker:{privileged,readonly,capless,hostcgroup,user,nonew}`,
      );
    },
  },
  {
    name: "shared-pids",
    title: "two containers that share one's PID namespace (Docker, containerd's pause)",
    async run(bed) {
      await bed.sh(
        `MORE="--pid container:docker0" start docker sharer
        docker update -m 64m --memory-swap 64m sharer >/dev/null
        seen=$(docker exec sharer awk '/MemTotal/{print $2}' /proc/meminfo)
        [ "$seen" = 65536 ] || fail "docker: the second sees $seen kB"
        seen=$(docker exec docker0 awk '/MemTotal/{print $2}' /proc/meminfo)
        [ "$seen" = $KIB ] || fail "docker: the first sees $seen kB"
        pid_of containerd:containerd0
        MORE="--with-ns pid:/proc/$PID/ns/pid" start containerd sharer
        within 30 sh -c 'ctr task exec --exec-id a$(date +%N) sharer awk "/MemTotal/{print \\$2}" /proc/meminfo | grep -x '$KIB || fail "containerd: the second does not see its own"`,
      );
    },
  },
  {
    name: "pid-host",
    title: "`--pid=host` with a limit of its own: works, and sees the node's figures",
    async run(bed) {
      await bed.sh(
        `MORE=--pid=host start docker hostpid
        seen=$(docker exec hostpid awk '/MemTotal/{print $2}' /proc/meminfo)
        docker exec hostpid ps >/dev/null || fail "ps fails"
        host=$(awk '/MemTotal/{print $2}' /proc/meminfo)
        [ "$seen" = $host ] || fail "it sees $seen kB, and not the node's"`,
      );
    },
  },
  {
    name: "systemd-inside",
    title: "systemd in a container, with services that have a /proc of their own",
    async run(bed) {
      await bed.sh(
        `machine=/root/images/systemd
        systemd-run -q --unit nspawn-sd --service-type notify systemd-nspawn -q --machine sd --volatile=overlay -D $machine \\
            --property MemoryMax=128M --property CPUQuota=100% -b
        within 300 sh -c 'systemctl -M sd is-system-running | grep -Eq "running|degraded"' || fail "systemd does not start: $(systemctl -M sd is-system-running)"
        own 20 nspawn:sd
        for properties in ProtectProc=invisible PrivateTmp=yes ProtectControlGroups=yes DynamicUser=yes ProtectKernelTunables=yes "ProcSubset=pid"; do
            unit=svc-\${properties%%=*}
            systemd-run -q -M sd --unit $unit -p $properties sleep 1000000
            within 30 test -n "$(systemctl -M sd show -p MainPID --value $unit)" || fail "$properties: does not start"
            [ $properties != ProcSubset=pid ] || continue
            leader=$(machinectl show -p Leader --value sd)
            found=
            for pid in $(cat /sys/fs/cgroup/machine.slice/machine-sd.scope/payload/system.slice/$unit.service/cgroup.procs); do found=$pid; done
            [ -n "$found" ] || fail "$properties: no process"
            seen() { [ "$(nsenter -t $found -m awk '/MemTotal/{print $2}' /proc/meminfo)" = $KIB ]; }
            within 30 seen || fail "$properties: sees $(nsenter -t $found -m awk '/MemTotal/{print $2}' /proc/meminfo) kB"
        done`,
      );
    },
  },
  {
    name: "rootless-new",
    title: "rootless podman: what starts, and what is executed in it",
    async run(bed) {
      await bed.sh(
        `start rootless later
        own 20 rootless:later
        seen=$(as_op podman exec later awk '/MemTotal/{print $2}' /proc/meminfo)
        [ "$seen" = $KIB ] || fail "exec sees $seen kB"`,
      );
    },
  },
  {
    name: "docker-in-incus",
    title: "Docker in an Incus container: both see their own",
    impossible: without("incus"),
    async run(bed) {
      await bed.sh(
        `incus init bb nest -c limits.memory=256MiB -c limits.cpu=1 -c security.nesting=true -c security.privileged=true >/tmp/start.log 2>&1
        incus config set nest raw.lxc="lxc.init.cmd = sleep 1000000"
        # The node's own programs.
        for place in usr:/usr lib:/usr/lib lib64:/usr/lib64; do
            incus config device add nest \${place%%:*} disk source=\${place#*:} path=/\${place%%:*} readonly=true >>/tmp/start.log
        done
        incus start nest >>/tmp/start.log 2>&1 || fail "it does not start: $(tail -n 1 /tmp/start.log)"
        in_nest() { incus exec -T nest --env PATH=/usr/sbin:/usr/bin:/bin -- "$@"; }
        in_nest sh -c 'cd /sys/fs/cgroup && mkdir init && for pid in $(cat cgroup.procs); do echo $pid >init/cgroup.procs; done 2>/dev/null
            sed "s/ / +/g; s/^/+/" cgroup.controllers >cgroup.subtree_control
            mkdir -p /run /var/log /etc/docker
            dockerd --storage-driver vfs --iptables=false --ip6tables=false --bridge none >/var/log/dockerd 2>&1 </dev/null &'
        within 40 in_nest docker info >/dev/null 2>&1 || fail "no Docker in it: $(in_nest tail -n 1 /var/log/dockerd)"
        tar -C $images/busybox -c . | in_nest docker import - bb >/dev/null
        in_nest docker run -d --name inner --network none -m 64m --security-opt apparmor=unconfined bb sleep 1000000 >/tmp/start.log 2>&1 ||
            fail "it starts no container: $(tail -n 1 /tmp/start.log)"
        inner() { [ "$(in_nest docker exec inner awk '/MemTotal/{print $2}' /proc/meminfo)" = 65536 ]; }
        within 20 inner || fail "the inner one sees $(in_nest docker exec inner awk '/MemTotal/{print $2}' /proc/meminfo) kB"
        seen=$(in_nest awk '/MemTotal/{print $2}' /proc/meminfo)
        [ "$seen" = 262144 ] || fail "the outer one sees $seen kB"`,
      );
    },
  },
  {
    name: "incus-operations",
    title: "`incus config set`, `exec`, `restart`",
    impossible: without("incus"),
    async run(bed) {
      await bed.sh(
        `incus config set incus0 limits.memory=64MiB
        end=$((SECONDS + 30 * SLOW))
        until wrong=$(wrong incus:incus0 65536 1); [ -z "$wrong" ]; do [ $SECONDS -lt $end ] || fail "after config set: $wrong"; sleep 0.5; done
        seen=$(incus exec incus0 -- awk '/MemTotal/{print $2}' /proc/meminfo)
        [ "$seen" = 65536 ] || fail "exec sees $seen kB"
        incus config set incus0 limits.memory=128MiB
        incus restart -f incus0
        own 20 incus:incus0`,
      );
    },
  },
];
