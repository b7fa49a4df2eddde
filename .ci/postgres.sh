#!/usr/bin/env bash
# A PostgreSQL server of one's own, for the tests and benchmarks: no service, no settings outside its folder.
#
#   .ci/postgres.sh install             installs the programs where they are missing (Debian or Ubuntu, as root)
#   .ci/postgres.sh start FOLDER PORT   makes a server's data in FOLDER, starts it, prints its URL
#   .ci/postgres.sh stop FOLDER         stops it; FOLDER may then be removed
#
# What cannot be done is said in one line, and the exit code is 3.
set -euo pipefail

give_up() { echo "no PostgreSQL: $1" >&2; exit 3; }

programs() { { ls -d /usr/lib/postgresql/*/bin 2>/dev/null; dirname "$(command -v initdb || true)"; } | sort -V | tail -1; }

# The server refuses to run as root.
unprivileged() { if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi; }

install() {
  [ -x "$(programs)/initdb" ] && return
  [ "$(id -u)" = 0 ] || give_up "installing it needs root: sudo .ci/postgres.sh install"
  command -v apt-get >/dev/null || give_up "no apt-get here; install PostgreSQL by hand"
  # Debian's package would otherwise start a server of its own.
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update && apt-get install -y --no-install-recommends postgresql; } >/dev/null 2>&1 ||
    give_up "apt-get install postgresql failed"
}

start() {
  local folder=$1 port=$2 bin
  bin=$(programs)
  [ -x "$bin/initdb" ] || give_up "its programs are not installed; .ci/postgres.sh install"
  mkdir -p "$folder"
  printf 'pass@word\n' > "$folder/password"
  [ "$(id -u)" = 0 ] && chown -R postgres "$folder"
  {
    unprivileged "$bin/initdb" -D "$folder/data" -U lorasweep -A scram-sha-256 --pwfile="$folder/password" -E UTF8 &&
      unprivileged "$bin/pg_ctl" -D "$folder/data" -l "$folder/server.log" -w -t 60 \
        -o "-p $port -h 127.0.0.1 -k '$folder'" start
  } > "$folder/start.log" 2>&1 < /dev/null || give_up "the server does not start: $(tail -1 "$folder/start.log")"
  echo "postgresql://lorasweep:pass%40word@127.0.0.1:$port/postgres"
}

stop() { unprivileged "$(programs)/pg_ctl" -D "$1/data" -m immediate stop >/dev/null; }

case "${1:-}" in
  install) install ;;
  start) start "${2:?folder}" "${3:?port}" ;;
  stop) stop "${2:?folder}" ;;
  *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
