#!/usr/bin/env bash
# Start a SLURM of one node on the loopback address: munge, controller and node, without systemd, cgroups or
# accounting. Missing packages of Debian are installed. A second start is harmless.
#
#     tests/slurm/start.sh           with its state in $SLURM_LAB, by default /tmp/nrc-slurm
#     tests/slurm/stop.sh
#
# Two GPUs of the type "null" are device nodes like /dev/null: jobs ask for them and are given them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab=${SLURM_LAB:-/tmp/nrc-slurm}
export SLURM_CONF=/etc/slurm/slurm.conf DEBIAN_FRONTEND=noninteractive
mkdir -p "$lab"/{run,log,dev,slurmctld,slurmd,munge}

if ! { command -v slurmctld && command -v slurmd && command -v squeue && command -v munged; } >/dev/null; then
  # packages must not start services of their own
  [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; ours=1; }
  chmod +x /usr/sbin/policy-rc.d
  { apt-get update -q && apt-get install -y -q --no-install-recommends slurmctld slurmd slurm-client munge; } \
    >"$lab/log/apt.log" 2>&1 || { tail -5 "$lab/log/apt.log" >&2; exit 1; }
  [ -z "${ours:-}" ] || rm /usr/sbin/policy-rc.d
fi

wait_for() {  # wait_for WHAT COMMAND...: at most a minute
  local what=$1 end=$((SECONDS + 60)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "$what does not start; see $lab/log" >&2; exit 1; }
    sleep 0.2
  done
}
runs() { [ -s "$lab/run/$1.pid" ] && [ "$(cat "/proc/$(<"$lab/run/$1.pid")/comm" 2>/dev/null)" = "$1" ]; }

for n in 0 1; do [ -e "$lab/dev/gpu$n" ] || mknod "$lab/dev/gpu$n" c 1 3; done
for file in slurm.conf gres.conf; do
  link=/etc/slurm/$file
  [ ! -e "$link" ] || [ "$(readlink "$link")" = "$lab/$file" ] \
    || { echo "$link belongs to another SLURM; this one is not started" >&2; exit 1; }
  sed "s#@LAB@#$lab#g; s#@HOST@#$(hostname -s)#g; s#@MEMORY@#$(awk '/MemTotal/ {print int($2 / 1280)}' /proc/meminfo)#g" \
    "$here/$file.in" >"$lab/$file"
  ln -sfn "$lab/$file" "$link"
done

chmod 755 "$lab" "$lab/run" "$lab/log"; chmod 700 "$lab/munge"
[ -s "$lab/munge/key" ] || (umask 077; head -c 1024 /dev/urandom >"$lab/munge/key")
runs munged || munged --socket="$lab/run/munge" --key-file="$lab/munge/key" --pid-file="$lab/run/munged.pid" \
  --log-file="$lab/log/munged.log" --seed-file="$lab/munge/seed" --origin=127.0.0.1
wait_for munge munge --socket="$lab/run/munge" -n
runs slurmctld || slurmctld
wait_for slurmctld sh -c 'scontrol ping | grep -q UP'
runs slurmd || slurmd
wait_for slurmd sh -c 'sinfo -h -o %T | grep -qE "idle|mixed|allocated"'
sinfo -h -N -p main -o 'SLURM is up: %N %T, %c CPUs, %m MB, %G'
