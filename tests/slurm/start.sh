#!/usr/bin/env bash
# Start a SLURM of one node on the loopback address: munge, accounting, controller, node, without
# systemd or cgroups. Installs Debian's packages where they are missing. Again is harmless.
#
#     tests/slurm/start.sh           with its state in $SLURM_LAB, by default /tmp/nrc-slurm
#     tests/slurm/stop.sh
#
# Two GPUs of the type "null" are device nodes like /dev/null: jobs ask for them and are given them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab=${SLURM_LAB:-/tmp/nrc-slurm}
host=$(hostname -s)
export SLURM_CONF=/etc/slurm/slurm.conf DEBIAN_FRONTEND=noninteractive
mkdir -p "$lab"/{etc,run,log,dev,slurmctld,slurmd,mysql,munge}

missing=()
for package in slurmctld slurmd slurmdbd slurm-client munge mariadb-server; do
  dpkg-query -W -f '${Status}' $package 2>/dev/null | grep -q 'ok installed' || missing+=($package)
done
if [ ${#missing[@]} -gt 0 ]; then
  # packages must not start services of their own
  [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; ours=1; }
  chmod +x /usr/sbin/policy-rc.d
  { apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$lab/log/apt.log" 2>&1 \
    || { tail -5 "$lab/log/apt.log" >&2; exit 1; }
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
for file in slurm.conf slurmdbd.conf gres.conf; do
  sed "s#@LAB@#$lab#g; s#@HOST@#$host#g; s#@MEMORY@#$(awk '/MemTotal/ {print int($2 / 1280)}' /proc/meminfo)#g" \
    "$here/$file.in" >"$lab/etc/$file"
  chmod 600 "$lab/etc/$file"
  link=/etc/slurm/$file
  [ ! -e "$link" ] || [ "$(readlink "$link")" = "$lab/etc/$file" ] \
    || { echo "$link belongs to another SLURM; this one is not started" >&2; exit 1; }
  ln -sfn "$lab/etc/$file" "$link"
done

chmod 755 "$lab" "$lab/run" "$lab/log"; chmod 700 "$lab/munge"
[ -s "$lab/munge/key" ] || (umask 077; head -c 1024 /dev/urandom >"$lab/munge/key")
runs munged || munged --socket="$lab/run/munge" --key-file="$lab/munge/key" --pid-file="$lab/run/munged.pid" \
  --log-file="$lab/log/munged.log" --seed-file="$lab/munge/seed" --origin=127.0.0.1
wait_for munge munge --socket="$lab/run/munge" -n

sql() { mariadb --no-defaults --socket="$lab/run/mysql" -u root "$@"; }
if ! runs mariadbd; then
  chown mysql "$lab/mysql" && chown root:mysql "$lab/run" && chmod 775 "$lab/run"
  [ -d "$lab/mysql/mysql" ] || mariadb-install-db --no-defaults --user=mysql --datadir="$lab/mysql" \
    --skip-test-db --auth-root-authentication-method=socket >"$lab/log/mariadb-install.log" 2>&1
  setsid mariadbd --no-defaults --user=mysql --datadir="$lab/mysql" --socket="$lab/run/mysql" \
    --pid-file="$lab/run/mariadbd.pid" --bind-address=127.0.0.1 --port=16306 --innodb-buffer-pool-size=64M \
    --innodb-lock-wait-timeout=900 >"$lab/log/mariadb.log" 2>&1 </dev/null &
fi
wait_for mariadb sql -e 'select 1'
sql -e "create database if not exists slurm_acct_db;
  create user if not exists 'slurm'@'127.0.0.1' identified by 'loopback';
  grant all on slurm_acct_db.* to 'slurm'@'127.0.0.1';"

runs slurmdbd || slurmdbd
wait_for slurmdbd sacctmgr -n list cluster
sacctmgr -n list cluster format=cluster | grep -qw nrc || sacctmgr -i add cluster nrc >/dev/null
sacctmgr -n list account format=account | grep -qw lab || {
  sacctmgr -i add account lab >/dev/null
  sacctmgr -i add user root account=lab >/dev/null
}
runs slurmctld || slurmctld
wait_for slurmctld sh -c 'scontrol ping | grep -q UP'
runs slurmd || slurmd
wait_for slurmd sh -c 'sinfo -h -o %T | grep -qE "idle|mixed|allocated"'
sinfo -h -N -p main -o 'SLURM is up: %N %T, %c CPUs, %m MB, %G'
