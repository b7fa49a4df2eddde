#!/usr/bin/env bash
# A real SLURM on this machine, for the tests: one node, as root, without systemd. Debian or Ubuntu.
#
#   eval "$(.ci/slurm.sh [FOLDER])"      installs it if need be, starts it if it is not running, sets SLURM_CONF
#   .ci/slurm.sh --stop [FOLDER]         stops it
#
# Prints one line for the shell on stdout; what went wrong, in one line, on stderr, with exit code 1.
set -euo pipefail

give_up() { echo "no SLURM: $*" >&2; exit 1; }

stop=false
if [ "${1:-}" = "--stop" ]; then stop=true; shift; fi
folder=$(realpath -m "${1:-/tmp/lorasweep-slurm}")
export SLURM_CONF="$folder/slurm.conf"

running() { [ -s "$folder/$1.pid" ] && [ "$(cat "/proc/$(cat "$folder/$1.pid")/comm" 2>/dev/null)" = "$1" ]; }

if $stop; then
  for daemon in slurmd slurmctld munged; do
    if running "$daemon"; then kill "$(cat "$folder/$daemon.pid")"; fi
  done
  exit 0
fi

idle() { [ -s "$SLURM_CONF" ] && timeout 10 sinfo -h -o '%t' 2>/dev/null | grep -qE '^(idle|mix|alloc)$'; }
announce() { echo "export SLURM_CONF='$SLURM_CONF'"; exit 0; }

idle && announce
[ "$(id -u)" = 0 ] || give_up "its daemons run as root here; this is $(id -un)"

packages=(slurmctld slurmd slurm-client munge)
if ! command -v slurmctld slurmd sinfo munged >/dev/null; then
  command -v apt-get >/dev/null || give_up "there is no apt-get to install ${packages[*]} with"
  log=$(mktemp)
  if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"; } \
      >"$log" 2>&1; then
    give_up "apt-get install ${packages[*]} failed: $(grep -m 1 '^E:' "$log" || tail -n 1 "$log")"
  fi
  rm -f "$log"
fi

mkdir -p "$folder"/{state,spool,munge}
cores=$(nproc)
memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
host=$(hostname -s)

# Its own munge (key, socket, pid), so that one that the machine may have is left alone.
chown -R munge: "$folder/munge"
chmod 711 "$folder" && chmod 755 "$folder/munge"
if ! running munged; then
  [ -s "$folder/munge/key" ] || (umask 277 && head -c 1024 /dev/urandom >"$folder/munge/key" && chown munge: "$folder/munge/key")
  rm -f "$folder/munge/socket" "$folder/munge/socket.lock"
  runuser -u munge -- munged --key-file="$folder/munge/key" --socket="$folder/munge/socket" --num-threads=2 \
    --pid-file="$folder/munge/pid" --seed-file="$folder/munge/seed" --log-file="$folder/munge/log" \
    || give_up "munged did not start: $(tail -n 1 "$folder/munge/log" 2>/dev/null)"
  cp "$folder/munge/pid" "$folder/munged.pid"
fi

cat >"$SLURM_CONF" <<CONF
ClusterName=lorasweep
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CryptoType=crypto/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=10
SchedulerParameters=sched_interval=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$((cores > 4 ? cores : 4)) RealMemory=$memory State=UNKNOWN
PartitionName=local Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
echo "# nothing: processes are tracked without cgroups" >"$folder/cgroup.conf"

# -c: nothing is remembered of an earlier start, such as a node that was drained.
start() {
  running "$1" || "$@" -f "$SLURM_CONF" 2>/dev/null || give_up "$1 did not start: $(tail -n 1 "$folder/$1.log" 2>/dev/null)"
}
start slurmctld -c
start slurmd
for _ in $(seq 60); do
  idle && announce
  sleep 0.5
done
give_up "the node did not become idle in 30 s: $(sinfo -h -N -o '%T %E' 2>&1 | head -n 1); see $folder/slurmd.log"
