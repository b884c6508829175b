#!/bin/sh
# Installs the OpenClaw Watch agent of this device from the server at @URL@:
#
#   curl -fsSL @URL@/install.sh | sh -s -- CODE [NAME]
#
# CODE is the one-time code that the page shows under "Add device". Without a code the agent is only updated.
# As root it becomes a service of the device, in /usr/local/bin; otherwise one of this user, in ~/.local/bin. Where no
# systemd runs (a container, say) it is started, and how to have it started again is said.
set -eu

URL='@URL@'
# Platform and SHA-256 of every agent that the server has.
AGENTS='@AGENTS@'

# Where a systemd that runs is found.
SYSTEMD=/run/systemd/system

fail() {
    printf 'openclaw-watch: %s\n' "$1" >&2
    exit 1
}

# The platforms whose agents run here, the best first.
platforms() {
    case "$(uname -m)" in
        x86_64 | amd64) cpu=x86_64 ;;
        aarch64 | arm64) cpu=aarch64 ;;
        *) cpu=$(uname -m) ;;
    esac
    case "$(uname -s)" in
        Linux) printf '%s\n' "$cpu-unknown-linux-musl" "$cpu-unknown-linux-gnu" ;;
        Darwin) printf '%s\n' "$cpu-apple-darwin" ;;
        *) printf '%s\n' "$cpu-$(uname -s)" ;;
    esac
}

# Sets target and expected.
choose() {
    for target in $(platforms); do
        expected=$(printf '%s\n' "$AGENTS" | sed -n "s/^$target //p")
        if [ -n "$expected" ]; then
            return
        fi
    done
    there=$(printf '%s\n' "$AGENTS" | sed 's/ .*//' | tr '\n' ' ')
    fail "the server at $URL has no agent for this device ($(platforms | tr '\n' ' ')); it has: ${there:-none}.
Put one into the server's agents folder, or copy openclaw-watch-agent here by hand."
}

download() {
    if command -v curl >/dev/null 2>&1; then
        curl -fsS --retry 3 -o "$2" "$1"
    elif command -v wget >/dev/null 2>&1; then
        wget -q -O "$2" "$1"
    else
        fail 'neither curl nor wget is there'
    fi || fail "$1 cannot be downloaded"
}

sha256() {
    if command -v sha256sum >/dev/null 2>&1; then
        sha256sum "$1" | cut -d ' ' -f 1
    elif command -v shasum >/dev/null 2>&1; then
        shasum -a 256 "$1" | cut -d ' ' -f 1
    elif command -v openssl >/dev/null 2>&1; then
        openssl dgst -sha256 "$1" | sed 's/.* //'
    else
        fail 'none of sha256sum, shasum and openssl is there to verify the download'
    fi
}

# Nothing keeps services here: the agent runs until the device stops.
start_without_service() {
    printf 'No systemd runs here, so the agent cannot become a service.\n'
    nohup "$agent" run >/dev/null 2>&1 </dev/null &
    started=$!
    sleep 2
    kill -0 "$started" 2>/dev/null ||
        fail "the agent ended at once (one that runs already has to be ended first). What is wrong says: $agent doctor"
    printf 'It was started (process %s) and runs until this device stops. To have it there again, call at every start:\n' "$started"
    printf '    %s run\n' "$agent"
}

main() {
    choose
    if [ "$(id -u)" -eq 0 ]; then
        folder=/usr/local/bin
    else
        folder=${HOME:?HOME is not set}/.local/bin
    fi
    mkdir -p "$folder"
    agent=$folder/openclaw-watch-agent
    new=$agent.new.$$
    trap 'rm -f "$new"' EXIT
    printf 'Downloading the agent for %s\n' "$target"
    download "$URL/agent/$target" "$new"
    got=$(sha256 "$new")
    [ "$got" = "$expected" ] || fail "the download is not what the server has (SHA-256 $got, not $expected); try again"
    chmod 755 "$new"
    "$new" --version || fail "the agent for $target does not run on this device"
    mv -f "$new" "$agent"
    if [ -n "${1:-}" ]; then
        if [ -n "${2:-}" ]; then
            "$agent" enroll "$URL" "$1" --name "$2"
        else
            "$agent" enroll "$URL" "$1"
        fi
    fi
    if [ "$(uname -s)" = Linux ] && [ ! -d "$SYSTEMD" ]; then
        start_without_service
    elif "$agent" install; then
        printf 'The agent runs: %s status\n' "$agent"
    else
        printf 'The agent is in %s but no service yet, for the reason above. Try again with: %s install\n' "$folder" "$agent" >&2
        printf 'Or start it yourself with: %s run\n' "$agent" >&2
        exit 1
    fi
}

# Last, so that a script that was cut off does nothing.
main "$@"
