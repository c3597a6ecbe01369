# repool: thin wrappers; each target does one thing that can be typed by hand.

GO       ?= go
REPOOL   := bin/repool
LAB      := bin/repool-lab
TESTARGS ?=
FUZZTIME ?= 20s
CHAOS_TIME ?= 2m
CHAOS    ?=
POOLS    ?= 2

export REPOOL_BIN := $(CURDIR)/$(REPOOL)

.PHONY: all deps deps-test build demo test bench lint fuzz fuzz-brief ci clean scenarios sim sim-soak sim-docs crashpoints chaos hosts

all: build

deps: ## install missing Debian packages (PostgreSQL, Pgpool-II)
	@scripts/install-deps.sh

deps-test: ## and those that only the tests need (Prometheus, Chromium)
	@scripts/install-deps.sh tests

build: ## bin/repool and bin/repool-lab, static programs
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/repool ./cmd/repool-lab

demo: deps build ## a real pool, five failures, each healed: about a minute
	$(LAB) demo

# The suites that have real pools, two of them side by side: their pools wait more
# than they work. In this order the two sides end nearly together. Those of other
# hosts need root.
POOLED := ./test/scenarios ./test/chaos $(if $(filter 0,$(shell id -u)),./test/hosts) ./test/crashpoints

test: deps-test build ## every package, and every scenario, on real pools
	$(GO) test $$($(GO) list ./... | grep -v -e /test/scenarios -e /test/crashpoints -e /test/chaos -e /test/hosts) -timeout 20m $(TESTARGS)
	@[ "$$(id -u)" -eq 0 ] || echo "test/hosts: network namespaces need root: NOTHING IS TESTED of nodes on other hosts"
	$(GO) test -p 2 $(POOLED) -timeout 25m $(TESTARGS)

scenarios: deps-test build ## the scenarios alone; RUN=S07 for some of them
	$(GO) test ./test/scenarios -run '$(RUN)' -timeout 25m -v $(TESTARGS)

WORLDS ?= 10000

sim: ## simulated worlds: WORLDS of them, or with SEED=n one, told from its beginning
ifdef SEED
	SEED=$(SEED) $(GO) test ./internal/sim -run '^TestShow$$' -count=1 -v
else
	WORLDS=$(WORLDS) $(GO) test ./internal/sim -run '^TestWorlds$$' -count=1 -v -timeout 0
endif

sim-soak: ## simulated worlds until stopped, or until one breaks a promise
	SOAK=1 SEED=$$(date +%s) $(GO) test ./internal/sim -run '^TestWorlds$$' -count=1 -v -timeout 0

sim-docs: ## the tables of docs/simulation.md
	WORLDS=3000 $(GO) test ./internal/sim -run '^(TestWorlds|TestMutants)$$' -count=1 -timeout 0 -update

crashpoints: deps build ## kill a resync at every point; RUN='^rewind:' for some; POOLS side by side
	$(GO) test ./test/crashpoints -timeout 90m -v $(TESTARGS) -args -full -pools $(POOLS) -points '$(RUN)' -report $(CURDIR)/tmp/crashpoints.md

chaos: deps build ## a pool broken at random for CHAOS_TIME; CHAOS='--seed 7 --sync' for the rest
	$(LAB) chaos --time $(CHAOS_TIME) $(CHAOS)

hosts: deps-test build ## every node on a host of its own, in network namespaces: as root only; RUN=Delay for some
	@[ "$$(id -u)" -eq 0 ] || { echo "make hosts: network namespaces need root: nothing was tested"; exit 1; }
	$(GO) test ./test/hosts -run '$(RUN)' -parallel 3 -timeout 25m $(TESTARGS)

bench: deps build ## side by side with the same steps by hand
	$(LAB) bench

lint: ## formatting and vet; golangci-lint too where it is installed
	@scripts/lint.sh

fuzz: ## every fuzz target for FUZZTIME
	@scripts/fuzz.sh $(FUZZTIME)

fuzz-brief: ## every fuzz target for a second
	@scripts/fuzz.sh brief

# Without the search of the fuzzer, which finds what it finds at any time: what fails
# on a change must fail again on it. The tests run every corpus.
ci: lint test

clean:
	rm -rf bin
