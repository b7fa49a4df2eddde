#!/usr/bin/env bash
# A Chromium for the tests of pages (Debian or Ubuntu, as root). What cannot be done is said in one line, exit code 3.
set -euo pipefail

give_up() { echo "no browser: $1" >&2; exit 3; }

command -v chromium >/dev/null && exit
[ "$(id -u)" = 0 ] || give_up "installing it needs root: sudo .ci/browser.sh"
command -v apt-get >/dev/null || give_up "no apt-get here; install Chromium by hand"
export DEBIAN_FRONTEND=noninteractive
{ apt-get update && apt-get install -y --no-install-recommends chromium; } >/dev/null 2>&1 ||
  give_up "apt-get install chromium failed"
