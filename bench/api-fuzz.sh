#!/bin/sh
# Plays schemathesis (PyPI: schemathesis) against a server of its own, by the server's own OpenAPI document: there must be
# no 500, and no answer that the document does not describe. Once with an API token, once with a session.
#
#   make api-fuzz
set -eu

server=${1:-./target/debug/openclaw-watch}
if ! command -v st >/dev/null 2>&1; then
    echo 'schemathesis is not there: pip install schemathesis' >&2
    exit 1
fi
server=$(CDPATH= cd -- "$(dirname -- "$server")" && pwd)/$(basename -- "$server")
work=$(mktemp -d)
# schemathesis keeps a folder of its own where it is started.
cd "$work"
"$server" --data-dir "$work/data" --web-listen 127.0.0.1:0 --ingest-listen 127.0.0.1:0 >"$work/out" 2>"$work/log" &
pid=$!
trap 'kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
until grep -q '^Ready: ' "$work/out"; do
    kill -0 "$pid" || { cat "$work/log" >&2; exit 1; }
    sleep 0.2
done
web=http://$(sed -n 's/^Ready: web \([^,]*\),.*/\1/p' "$work/out")
token=$(sed -n 's/.*setup?token=//p' "$work/out")
json='content-type: application/json'
body="{\"token\":\"$token\",\"username\":\"admin\",\"password\":\"correct horse\"}"
csrf=$(curl -fsS -c "$work/jar" -H "$json" -d "$body" "$web/api/v1/setup" | sed 's/.*"csrf_token":"\([^"]*\)".*/\1/')
cookie=$(awk '$6 == "ocw_session" { print $6 "=" $7 }' "$work/jar")
bearer=$(curl -fsS -b "$work/jar" -H "$json" -H "x-csrf-token: $csrf" -d '{"name":"fuzz","scope":"admin"}' \
    "$web/api/v1/tokens" | sed 's/.*"token":"\([^"]*\)".*/\1/')
curl -fsS -H "authorization: Bearer $bearer" "$web/api/v1/openapi.json" >"$work/openapi.json"

checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance
fuzz() {
    st run "$work/openapi.json" --url "$web" --no-color --max-examples "${EXAMPLES:-25}" --checks "$checks" \
        --exclude-path /api/v1/live "$@"
}
fuzz -H "Authorization: Bearer $bearer"
# What would end the session, or change its password, ends the play.
fuzz -H "Cookie: $cookie" -H "X-CSRF-Token: $csrf" --include-path-regex '^/api/v1/(session|sessions|tokens|users)' \
    --exclude-method DELETE
