# repool: thin wrappers; each target does one thing that can be typed by hand.

GO       ?= go
REPOOL   := bin/repool
LAB      := bin/repool-lab
TESTARGS ?=
FUZZTIME ?= 20s
CHAOS_TIME ?= 2m
CHAOS    ?=
POOLS    ?= 2
WORLDS   ?= 10000
PREFIX   ?= /usr/local
DESTDIR  ?=
DIST     ?= dist

export REPOOL_BIN := $(CURDIR)/$(REPOOL)

.PHONY: all deps deps-test build demo test test-all ci lint soak scenarios sim sim-docs crashpoints chaos hosts \
	bench bench-wal fuzz packages install clean

all: build

deps: ## install missing Debian packages (PostgreSQL, Pgpool-II)
	@scripts/install-deps.sh

deps-test: ## and those that only the tests need (Prometheus, Chromium)
	@scripts/install-deps.sh tests

build: ## bin/repool and bin/repool-lab, static programs
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/repool ./cmd/repool-lab

demo: deps build ## a real pool, five failures, each healed: about a minute
	$(LAB) demo

# What decides whether a change lands is `make ci`: see docs/decisions/0017-what-decides-a-change.md.

test: deps-test build ## unit tests and the main scenarios on real pools: within 8 minutes on two idle processors
	scripts/tests.sh test -timeout 20m $(TESTARGS)

test-all: deps-test build ## everything else that is deterministic; as root
	WORLDS=10000 scripts/tests.sh all -timeout 45m $(TESTARGS)

ci: lint ## all that must stay green
	$(MAKE) test
	$(MAKE) test-all

lint: ## golangci-lint, in the version that tools/go.mod pins
	@scripts/lint.sh

soak: deps build ## random search by chaos, simulation and fuzzing: it never decides whether a change lands; as root
	$(LAB) chaos --time $(CHAOS_TIME)
	$(LAB) chaos --time $(CHAOS_TIME) --sync
	$(LAB) chaos --time $(CHAOS_TIME) --network
	SEED=$$(date +%s) WORLDS=$(WORLDS) $(GO) test ./test/sim -run '^TestWorlds$$' -count=1 -v -timeout 0
	scripts/fuzz.sh $(FUZZTIME)

scenarios: deps-test build ## every scenario; RUN=S07 for some of them
	$(GO) test ./test/scenarios -run '$(RUN)' -timeout 45m -v $(TESTARGS)

sim: ## simulated worlds: WORLDS of them, or with SEED=n one, told from its beginning
ifdef SEED
	SEED=$(SEED) $(GO) test ./test/sim -run '^TestShow$$' -count=1 -v
else
	WORLDS=$(WORLDS) $(GO) test ./test/sim -run '^TestWorlds$$' -count=1 -v -timeout 0
endif

sim-docs: ## the tables of docs/simulation.md
	WORLDS=3000 $(GO) test ./test/sim -run '^(TestWorlds|TestMutants)$$' -count=1 -timeout 0 -update

crashpoints: deps build ## kill a resync at every point; RUN='^rewind:' for some; POOLS side by side
	$(GO) test ./test/crashpoints -timeout 90m -v $(TESTARGS) -args -full -pools $(POOLS) -points '$(RUN)' \
		-report $(CURDIR)/tmp/crashpoints.md

chaos: deps build ## a pool broken at random for CHAOS_TIME; CHAOS='--seed 7 --sync' for the rest
	$(LAB) chaos --time $(CHAOS_TIME) $(CHAOS)

hosts: deps-test build ## every node on a host of its own, in network namespaces: as root only; RUN=Delay for some
	$(GO) test ./test/hosts -run '$(RUN)' -parallel 3 -timeout 25m $(TESTARGS)

bench: deps build bench-wal ## side by side with the same steps by hand
	$(LAB) bench

bench-wal: ## reading 100 GB of WAL, and listing ten million lost commits: time and memory; 3 GB in TMPDIR
	$(GO) test ./internal/node/pgdata ./internal/node/vault -run '^$$' -bench 'CheckpointSearch|Report' -benchtime 1x \
		-p 1 -timeout 30m

fuzz: ## every fuzz target for FUZZTIME
	@scripts/fuzz.sh $(FUZZTIME)

packages: ## .deb and .rpm of both programs for amd64 and arm64, bills of materials and sums, in DIST
	scripts/packages.sh $(DIST)

install: build ## what the packages have, below PREFIX; DESTDIR in place of /
	scripts/install.sh $(PREFIX) $(DESTDIR)

clean:
	rm -rf bin dist
