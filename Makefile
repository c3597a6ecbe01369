# repool: thin wrappers; each target does one thing that can be typed by hand.

GO       ?= go
REPOOL   := bin/repool
TESTARGS ?=
FUZZTIME ?= 20s

export REPOOL_BIN := $(CURDIR)/$(REPOOL)

.PHONY: all deps build demo test bench lint fuzz ci clean proto scenarios

all: build

deps: ## install missing Debian packages (PostgreSQL, Pgpool-II)
	@scripts/install-deps.sh

build: ## bin/repool, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -o $(REPOOL) ./cmd/repool

demo: deps build ## a real pool, five failures, each healed: about a minute
	$(REPOOL) demo

# The scenarios that make test runs: steady and short on two cores. make
# scenarios runs every one, and takes longer.
SCENARIOS ?= S01|S03|S04NoChecksums|S05|S12|S14|S15|S18

test: deps build ## every package, and the steady scenarios, on real pools
	$(GO) test $$($(GO) list ./... | grep -v /test/scenarios) -timeout 20m $(TESTARGS)
	$(GO) test ./test/scenarios -run '$(SCENARIOS)' -timeout 25m $(TESTARGS)

scenarios: deps build ## every scenario, on real pools
	$(GO) test ./test/scenarios -timeout 60m -v $(TESTARGS)

bench: deps build ## side by side with the same steps by hand
	$(REPOOL) bench

lint: ## formatting and vet; golangci-lint too where it is installed
	@scripts/lint.sh

fuzz: ## every fuzz target for FUZZTIME
	@scripts/fuzz.sh $(FUZZTIME)

ci: lint test

clean:
	rm -rf bin

proto: ## generate the wire code from proto/ (protoc, protoc-gen-go, protoc-gen-connect-go)
	protoc -I proto --go_out=. --go_opt=module=github.com/repool/repool --connect-go_out=. \
		--connect-go_opt=module=github.com/repool/repool,simple proto/repool/agent/v1/agent.proto
