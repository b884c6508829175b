# Two commands are all a newcomer needs: `make run` and `make test`.

PAGE_SOURCES := $(shell find web -path web/node_modules -prune -o -path web/dist -prune -o -path web/out -prune -o -type f -print)

.PHONY: run build agent notices test page-test rust-test browser-test bench compare soak api-fuzz fuzz docker-test clean

# Builds the page and the server and starts it, with its data in ./data.
run: build
	./target/release/openclaw-watch --data-dir ./data

build: web/dist/index.html
	cargo build --release --locked

# The agent alone, as small as it gets: target/agent/openclaw-watch-agent
agent:
	cargo build --profile agent --locked -p agent

# Whose code is in the programs and the page, with its licences: target/THIRD-PARTY-NOTICES.md
notices: web/dist/index.html
	cargo run --locked --example notices > target/THIRD-PARTY-NOTICES.md

# Everything that must hold before a change is taken.
test: page-test rust-test browser-test

page-test: web/dist/index.html
	cd web && npm run check && npm run lint && npm test

# The benches run once each, as a smoke test; `make bench` measures.
rust-test: web/dist/index.html
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- --deny warnings
	cargo test --workspace --all-targets --locked

# The page in a real browser, the real server, a real agent.
browser-test: web/dist/index.html
	cargo build --locked --workspace --bins
	cd web && CHROMIUM="$$(./e2e/find-chromium.sh)" npm run e2e

bench:
	cargo bench --locked -p bench

# Plays the same load into this server and into VictoriaMetrics (Debian: apt-get install victoria-metrics).
# ./target/release/compare --help names what else it can do: one engine alone, some phases, other recordings.
compare:
	cargo build --release --locked -p openclaw-watch -p bench --bins
	./target/release/compare

# A fleet, people and restarts for 20 minutes; then everything acknowledged is counted. Longer: make soak SOAK='--duration 8h'
soak:
	cargo build --release --locked -p openclaw-watch -p bench --bins
	./target/release/soak $(SOAK)

# Plays schemathesis (pip install schemathesis) against a server of its own: no 500, nothing that is not described.
api-fuzz: web/dist/index.html
	cargo build --locked -p openclaw-watch
	bench/api-fuzz.sh target/debug/openclaw-watch

# Hunts in every fuzz target for FUZZ_SECONDS each (cargo install cargo-fuzz; rustup toolchain install nightly).
FUZZ_SECONDS ?= 60
fuzz:
	cd bench && for target in $$(cargo fuzz list --fuzz-dir fuzz); do \
	    cargo +nightly fuzz run --fuzz-dir fuzz "$$target" -- -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 || exit 1; \
	done

# Tries the image and the compose file in a container engine, on a base with the C library of this machine:
# make docker-test BASE_IMAGE=debian:bookworm-slim
BASE_IMAGE ?= debian:bookworm-slim
docker-test: web/dist/index.html
	cargo build --release --locked -p openclaw-watch
	cargo build --profile agent --locked -p agent
	mkdir -p target/image/agents
	cargo run --release --locked --example notices > target/image/THIRD-PARTY-NOTICES.md
	cp LICENSE target/image/
	cp target/release/openclaw-watch target/image/
	cp target/agent/openclaw-watch-agent target/image/agents/openclaw-watch-agent-$$(uname -m)-unknown-linux-gnu
	deploy/test-docker.sh target/image $(BASE_IMAGE)

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	cd web && npm ci
	touch $@

web/dist/index.html: web/node_modules/.package-lock.json $(PAGE_SOURCES)
	cd web && npm run build
	touch $@

clean:
	rm -rf web/dist web/out web/node_modules
	cargo clean
