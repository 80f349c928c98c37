// What containers are told by their kernel log: by its files, by syslog(2), and when they go.

/**
 * Functions for these scenarios. Whoever is killed for want of memory is called busybox-NAME: by its
 * name it is known whose kill a log tells of.
 */
const FUNCTIONS = `
    kills() { execute "$1" "\${@:2}" | sed -n 's/.*Killed process [0-9]* (busybox-\\([a-z]*\\)).*/\\1/p' | tr '\\n' ' '; }
    starve() { # RUNTIME:NAME
        local runtime=\${1%%:*}
        execute "$1" busybox cp /bin/busybox "/bin/busybox-$runtime"
        ! execute "$1" "/bin/busybox-$runtime" tail /dev/zero || fail "$1: is not killed"
    }
    # What of the kernel log is mounted in a container.
    mounted() { pid_of "$1"; awk '$5 ~ "^/(dev|proc)/kmsg$" { print $5 }' "/proc/$PID/mountinfo" | sort | tr '\\n' ' '; }
    has_log() { [ "$(mounted "$1")" = "/dev/kmsg /proc/kmsg " ]; }
    has_none() { [ -z "$(mounted "$1")" ]; }
    told() { [ "$(kills "$1" /usr/bin/dmesg)" = "\${1%%:*} " ]; }
    # The parts of the kernel's report of a kill, from its first line to its last, once each.
    whole() {
        local log part
        log=$(execute "$1" /usr/bin/dmesg)
        for part in 'invoked oom-killer:' 'memory: usage ' 'Tasks state ' 'oom-kill:' 'Killed process '; do
            [ "$(grep -c "$part" <<<"$log")" = 1 ] || { say "$part"; return 1; }
        done
    }
`;

/** Containers in which somebody may read a kernel log, and that have util-linux's dmesg. */
const CONTAINERS = `
    ${FUNCTIONS}
    [ "$(cat /proc/sys/kernel/dmesg_restrict)" = 1 ] || fail "the node lets everybody read its log"
    MORE="--cap-add SYSLOG" start docker log
    MORE="--cap-add SYSLOG" start podman log
    all="docker:log podman:log lxc:lxc0"
    ! grep -qx incus /root/bed/runtimes || all="$all incus:incus0"
    own 30 $all
    for one in $all; do
        give "$one" /usr/bin/dmesg
        within 30 has_log "$one" || fail "$one: has of its kernel log: $(mounted "$one")"
    done
`;

/** @type {import("./index.mjs").Scenario[]} */
export const kernelLog = [
  {
    name: "kernel-log",
    title:
      "`dmesg` in LXC and Incus, with `--cap-add SYSLOG` in Docker and podman, shows only its own OOM kill; without the capability it shows nothing",
    async run(bed) {
      await bed.sh(
        `${CONTAINERS}
        for one in $all; do starve "$one"; done
        for one in $all; do
            within 20 told "$one" || fail "$one: is told of the kills of: $(kills "$one" /usr/bin/dmesg)"
            part=$(whole "$one") || fail "$one: of its kill's report it is not told once: $part"
            execute "$one" head -c 3 /proc/kmsg | grep -q '^<' || fail "$one: nothing in /proc/kmsg"
        done
        # As shipped Docker and podman give nobody the right to read it.
        for one in docker:docker0 podman:podman0; do
            give "$one" /usr/bin/dmesg
            starve "$one"
            ! said=$(execute "$one" /usr/bin/dmesg 2>&1) || fail "$one: may read without CAP_SYSLOG"
            case $said in *"not permitted"*) ;; *) fail "$one: dmesg says: $said" ;; esac
        done`,
      );
    },
  },
  {
    name: "kernel-log-restart",
    title:
      "a `dmesg -w` in a container continues across `systemctl restart` and shows each kill once",
    impossible: (kind) =>
      kind.resends ? undefined : "before Linux 6.9 a read that waits ends with an error",
    async run(bed) {
      await bed.sh(
        `${CONTAINERS}
        for one in $all; do execute "$one" /usr/bin/dmesg -w >"/tmp/log-\${one%%:*}" 2>&1 & done
        watching() { grep -q 'No swap\\|Linux version' "/tmp/log-\${1%%:*}"; }
        for one in $all; do within 30 watching "$one" || fail "$one: dmesg -w says nothing"; done
        before=$(status generation)
        systemctl restart vprocfs
        within 100 later_than "$before" || fail "no other worker"
        served
        for one in $all; do starve "$one"; done
        seen() { grep -q 'Killed process' "/tmp/log-\${1%%:*}"; }
        for one in $all; do
            within 30 seen "$one" || fail "$one: dmesg -w is not told of the kill: $(tail -n 1 "/tmp/log-\${one%%:*}")"
            [ "$(grep -c 'oom-kill:' "/tmp/log-\${one%%:*}")" = 1 ] || fail "$one: kills told: $(grep -c 'oom-kill:' "/tmp/log-\${one%%:*}")"
            [ "$(grep -c 'Linux version' "/tmp/log-\${one%%:*}")" = 1 ] || fail "$one: told again from the beginning"
        done
        for one in $all; do execute "$one" busybox killall dmesg; done; wait`,
      );
    },
  },
  {
    name: "kernel-log-detach",
    title:
      '`vprocfs detach` and `systemctl stop` remove the kernel log\'s files, even with `on-stop = "leave"`',
    async run(bed) {
      await bed.sh(
        `${CONTAINERS}
        for one in $all; do
            pid_of "$one"
            vprocfs detach $PID >/dev/null || fail "$one: vprocfs detach fails"
            has_none "$one" || fail "$one: after detach: $(mounted "$one")"
            ! execute "$one" test -e /dev/kmsg || fail "$one: detach leaves /dev/kmsg"
            vprocfs attach $PID >/dev/null || fail "$one: vprocfs attach fails"
            has_log "$one" || fail "$one: after attach: $(mounted "$one")"
        done
        printf 'on-stop = "leave"\\n' >>/etc/vprocfs/vprocfs.toml
        systemctl restart vprocfs
        served
        systemctl stop vprocfs
        for one in $all; do has_none "$one" || fail "$one: after stop with on-stop = leave: $(mounted "$one")"; done
        systemctl start vprocfs
        served
        own 30 $all
        for one in $all; do within 30 has_log "$one" || fail "$one: after the next start: $(mounted "$one")"; done`,
      );
    },
  },
  {
    name: "kernel-log-calls",
    title:
      "with `install-hooks --sysinfo all`, busybox `dmesg`, `free` and `uptime` in new containers show the container's own figures",
    async run(bed) {
      await bed.sh(
        `${FUNCTIONS}
        vprocfs install-hooks --sysinfo all >/dev/null || fail "install-hooks fails"
        MORE="--cap-add SYSLOG" start podman calls
        start podman nocap
        start lxc calls
        own 30 podman:calls podman:nocap lxc:calls
        for one in podman:calls lxc:calls; do
            starve "$one"
            by_call() { [ "$(kills "$one" busybox dmesg)" = "\${one%%:*} " ]; }
            within 20 by_call || fail "$one: syslog(2) tells of the kills of: $(kills "$one" busybox dmesg)"
            [ "$(execute "$one" free | awk '/^Mem:/{print $2}')" = $KIB ] || fail "$one: free says $(execute "$one" free | sed -n 2p)"
        done
        ! execute podman:nocap busybox dmesg >/dev/null 2>&1 || fail "podman: syslog(2) answers without CAP_SYSLOG"
        systemctl restart vprocfs
        served
        for one in podman:calls lxc:calls; do
            within 20 by_call || fail "$one: after a restart syslog(2) tells of the kills of: $(kills "$one" busybox dmesg)"
        done
        systemctl stop vprocfs
        for one in podman:calls lxc:calls; do
            said=$(execute "$one" busybox dmesg 2>&1 || true)
            case $said in *"not permitted"*) ;; *) fail "$one: while vprocfs is stopped dmesg says: $(say "$said" | tail -n 1)" ;; esac
        done`,
      );
    },
  },
  {
    name: "kernel-log-journal",
    title: "`journalctl -k` of systemd in LXC shows its own OOM kill, even after detach and attach",
    async run(bed) {
      await bed.sh(
        `${FUNCTIONS}
        mkdir -p /var/lib/roots
        cp -a /root/images/systemd /var/lib/roots/sd
        cp /root/images/busybox/bin/busybox /var/lib/roots/sd/usr/bin/
        MORE='lxc.apparmor.allow_nesting = 1\\n' start lxc sd /sbin/init
        own 30 lxc:sd
        in_sd() { lxc-attach -n sd -- "$@" </dev/null; }
        up() { in_sd systemctl is-system-running 2>/dev/null | grep -Eqx "running|degraded"; }
        within 120 up || fail "systemd does not start: $(in_sd systemctl is-system-running)"
        has_log lxc:sd || fail "it has of its kernel log: $(mounted lxc:sd)"
        starve lxc:sd
        journaled() { in_sd journalctl -k -o cat --no-pager | grep -q "$1"; }
        within 20 journaled 'Killed process .*(busybox-lxc)' || fail "the journal does not tell of the kill"
        pid_of lxc:sd
        vprocfs detach $PID >/dev/null || fail "vprocfs detach fails"
        in_sd systemctl restart systemd-journald || fail "journald does not start without the files"
        vprocfs attach $PID >/dev/null || fail "vprocfs attach fails"
        in_sd systemctl restart systemd-journald || fail "journald does not start with the files"
        in_sd sh -c 'echo "<4>again here" >/dev/kmsg'
        within 20 journaled 'again here' || fail "the journal is not told after attach"
        ! in_sd journalctl --no-pager -o cat | grep -i 'missed .* kernel messages' || fail "the journal has missed messages"
        in_sd systemd-run -q --wait -p ProtectKernelLogs=yes -p PrivateDevices=yes /bin/true || fail "ProtectKernelLogs= and PrivateDevices= do not start"`,
      );
    },
  },
];
