#!/bin/sh
# Tries the images and the compose file in a real engine: read-only, without root or capabilities, healthy, stopped in
# time, data kept over `down` and `up`; and the agent in its container, begun with the page's line.
#
#   deploy/test-docker.sh FOLDER BASE_IMAGE
#
# FOLDER holds openclaw-watch, agents/ and the two files of licences, built before for BASE_IMAGE (scratch for static programs): the stages of the
# Dockerfile that compile are not run, its last one is, as it stands. Skipped where no engine answers.
set -eu

folder=$1
base=$2
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
if ! docker version >/dev/null 2>&1; then
    echo 'SKIPPED: no container engine answers (docker version)'
    exit 0
fi
project=openclaw-watch-test
work=$(mktemp -d)
compose() { docker compose -p "$project" -f "$work/deploy/docker-compose.yml" "$@"; }
cleanup() {
    docker rm -f "$project-agent" >/dev/null 2>&1 || true
    docker volume rm "$project-agent" >/dev/null 2>&1 || true
    compose down -v >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap cleanup EXIT
fail() {
    echo "FAILED: $1" >&2
    exit 1
}

mkdir -p "$work/deploy" "$work/out/data" "$work/out/state"
cp "$here"/docker-compose.yml "$here"/Caddyfile "$work/deploy/"
cp -r "$folder/openclaw-watch" "$folder/agents" "$folder/LICENSE" "$folder/THIRD-PARTY-NOTICES.md" "$work/out/"
cp "$folder"/agents/openclaw-watch-agent-* "$work/out/openclaw-watch-agent"
# The stages of the two images alone, with what was built in the place of the stage that builds.
{
    echo "ARG BASE_IMAGE=$base"
    sed -n '/^FROM ${BASE_IMAGE}/,$p' "$here/Dockerfile" | sed 's|--from=build ||; s|/out/|out/|'
} >"$work/deploy/Dockerfile"

export WEB_PUBLISH=127.0.0.1:41488 INGEST_PUBLISH=127.0.0.1:41489 DOCKER_BUILDKIT=0 COMPOSE_BAKE=false
docker build -q -t openclaw-watch -f "$work/deploy/Dockerfile" "$work" >/dev/null
docker build -q --target agent -t openclaw-watch-agent -f "$work/deploy/Dockerfile" "$work" >/dev/null
compose up -d --no-build

healthy() {
    for _ in $(seq 60); do
        id=$(compose ps -q server)
        if docker exec "$id" /openclaw-watch healthcheck 2>/dev/null; then
            return
        fi
        sleep 1
    done
    compose logs server >&2
    fail 'the server is never ready'
}
get() { docker exec "$(compose ps -q server)" true 2>/dev/null; curl -fsS "$@"; }

healthy
web=http://127.0.0.1:41488
get "$web/" | grep -q '<title>' || fail 'the page does not answer'
get http://127.0.0.1:41489/install.sh | grep -q 'unknown-linux' || fail 'the install script has no agent'
id=$(compose ps -q server)
[ "$(docker inspect -f '{{.HostConfig.ReadonlyRootfs}} {{.Config.User}}' "$id")" = 'true 65532:65532' ] || fail 'not read-only or root'
# Caddy's address, whom the server believes, must stay free for it.
[ "$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$id")" != 10.213.38.2 ] || fail "the server has Caddy's address"
token=$(compose logs server | sed -n 's/.*setup?token=//p' | tr -d '\r' | tail -n 1)
body="{\"token\":\"$token\",\"username\":\"admin\",\"password\":\"correct horse\"}"
csrf=$(get -c "$work/cookies" -H 'content-type: application/json' -d "$body" "$web/api/v1/setup" |
    sed -n 's/.*"csrf_token":"\([^"]*\)".*/\1/p')
[ -n "$csrf" ] || fail 'no account could be made'

# The page's line for Docker, but with a name and a volume of this test's own, and to the port that is published here.
line=$(get -b "$work/cookies" -H "x-csrf-token: $csrf" -H 'content-type: application/json' \
    -d '{"name":"container","device_type":"server","tags":[],"notes":""}' "$web/api/v1/enroll-codes" |
    sed -n 's/.*"docker":"\(docker run .* openclaw-watch-agent\)".*/\1/p' | sed 's/\\"/"/g')
line=$(echo "$line" | sed "s/-v openclaw-watch-agent:/-v $project-agent:/g; s/--name openclaw-watch-agent/--name $project-agent/; s/127.0.0.1:38889/127.0.0.1:41489/g")
HOME=$work sh -c "$line" >/dev/null || fail "the line for Docker: $line"
reported() { get -b "$work/cookies" "$web/api/v1/devices" | grep -q '"agent_version":"[0-9]'; }
for _ in $(seq 60); do
    reported && break
    sleep 1
done
reported || {
    docker logs "$project-agent" >&2
    fail 'the agent in its container never reports'
}
[ "$(docker inspect -f '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}' "$project-agent")" = 'true [ALL]' ] || fail 'the agent may write or do more than it should'
docker stop -t 10 "$project-agent" >/dev/null
[ "$(docker inspect -f '{{.State.ExitCode}}' "$project-agent")" = 0 ] || fail 'the agent was not stopped cleanly'
compose exec -T server /openclaw-watch backup /data/test.backup || fail 'no backup could be made'

began=$(date +%s)
compose down
[ $(($(date +%s) - began)) -lt 14 ] || fail 'it did not stop in time'
compose up -d --no-build
healthy
body='{"username":"admin","password":"correct horse"}'
get -H 'content-type: application/json' -d "$body" "$web/api/v1/session" | grep -q csrf_token || fail 'the data did not survive'
echo 'PASSED: images and compose file in a real engine'
