#!/usr/bin/env bash
# Prints the path of a Chromium for the browser test. Installs Debian's where there is none and this user may.
set -euo pipefail
find_one() {
  if [[ -n ${CHROMIUM:-} ]]; then
    echo "$CHROMIUM"
    return
  fi
  command -v chromium || command -v chromium-browser || command -v google-chrome
}
if ! find_one; then
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    echo "The browser test needs Chromium: install it, or set CHROMIUM to its path." >&2
    exit 1
  fi
  apt-get update -qq >&2
  # The fonts: without them Chinese is drawn as empty boxes in the screenshots.
  apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core fonts-noto-cjk >&2
  find_one
fi
