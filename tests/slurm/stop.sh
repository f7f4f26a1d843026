#!/usr/bin/env bash
# Cancel all jobs and stop the daemons of start.sh.
set -uo pipefail
lab=${SLURM_LAB:-/tmp/nrc-slurm}
export SLURM_CONF=/etc/slurm/slurm.conf
[ "$(readlink $SLURM_CONF)" = "$lab/slurm.conf" ] || exit 0
timeout 20 scancel --user=root 2>/dev/null
for _ in $(seq 50); do [ -z "$(timeout 10 squeue -h 2>/dev/null)" ] && break; sleep 0.2; done
for name in slurmd slurmctld munged; do
  pid=$(cat "$lab/run/$name.pid" 2>/dev/null) || continue
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = $name ] || continue
  kill "$pid"
  for _ in $(seq 100); do [ -d "/proc/$pid" ] || break; sleep 0.1; done
  [ ! -d "/proc/$pid" ] || kill -9 "$pid"
  rm -f "$lab/run/$name.pid"
done
rm -f /etc/slurm/{slurm,gres}.conf "$lab"/slurmctld/job_state*
