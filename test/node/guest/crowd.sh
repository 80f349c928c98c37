#!/bin/bash
# How long it takes from the start of the service until all of so many running containers have its files:
#
#   crowd.sh COUNT COMMAND...
#
# It starts the containers with runc, runs COMMAND, which starts the service, and prints milliseconds,
# how many files the last container has, and after how many milliseconds the first one was served. A script of
# its own, to be run on the machine outside, too.
set -eu

count=$1
shift
directory=$(mktemp -d -p /var/tmp)
name() { printf 'crowd%s-%s' "$$" "$1"; }
cleanup() {
    for i in $(seq "$count"); do
        runc delete -f "$(name "$i")" 2>/dev/null || true
    done
    rm -rf "$directory"
}
trap cleanup EXIT

mkdir -p "$directory/rootfs"/{bin,proc,sys,dev,tmp}
cp "$(command -v busybox)" "$directory/rootfs/bin/"
ln -s busybox "$directory/rootfs/bin/sleep"
runc spec -b "$directory"
python3 - "$directory/config.json" <<'P'
import json, sys
config = json.load(open(sys.argv[1]))
config["process"]["terminal"] = False
config["process"]["args"] = ["/bin/sleep", "1000000"]
config["linux"]["resources"]["memory"] = {"limit": 67108864}
json.dump(config, open(sys.argv[1], "w"))
P
for i in $(seq "$count"); do
    runc run -d -b "$directory" --pid-file "$directory/$i.pid" "$(name "$i")" </dev/null >/dev/null 2>&1
done

cat >"$directory/served.py" <<'P'
import subprocess, sys, time

border = sys.argv.index("--")
command, pids = sys.argv[1:border], sys.argv[border + 1:]

def files(pid):
    with open(f"/proc/{pid}/mountinfo") as table:
        return table.read().count(" - fuse.lxcfs vprocfs")

begin = time.monotonic()
started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
first = None
# meminfo is among what the helper mounts at once: whoever has any of the files has them all. One after the
# other, and rarely: to look at all of them again and again took emulated CPUs longer than to serve them.
for pid in pids:
    while files(pid) == 0:
        if started.poll():
            sys.exit(f"{command[0]}: exit status {started.returncode}")
        if time.monotonic() > begin + 900:
            sys.exit(f"{sum(files(pid) == 0 for pid in pids)} of {len(pids)} containers are not served")
        time.sleep(0.05)
    first = first or time.monotonic()
end = time.monotonic()
print(round((end - begin) * 1000), files(pids[-1]), round((first - begin) * 1000))
P
python3 "$directory/served.py" "$@" -- $(for i in $(seq "$count"); do cat "$directory/$i.pid"; echo; done)
