# repool: thin wrappers; each target does one thing that can be typed by hand.

GO       ?= go
REPOOL   := bin/repool
TESTARGS ?=
FUZZTIME ?= 20s

export REPOOL_BIN := $(CURDIR)/$(REPOOL)

.PHONY: all deps build demo test bench lint fuzz ci clean proto scenarios hosts

all: build

deps: ## install missing Debian packages (PostgreSQL, Pgpool-II)
	@scripts/install-deps.sh

build: ## bin/repool, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -o $(REPOOL) ./cmd/repool

demo: deps build ## a real pool, five failures, each healed: about a minute
	$(REPOOL) demo

test: deps build ## every package, and every scenario, on real pools
	$(GO) test $$($(GO) list ./... | grep -v -e /test/scenarios -e /test/hosts) -timeout 20m $(TESTARGS)
	$(GO) test ./test/scenarios -timeout 25m $(TESTARGS)
	$(MAKE) hosts

scenarios: deps build ## the scenarios alone; RUN=S07 for some of them
	$(GO) test ./test/scenarios -run '$(RUN)' -timeout 25m -v $(TESTARGS)

hosts: deps build ## every node on a host of its own, in network namespaces: as root only
	@if [ "$$(id -u)" -ne 0 ]; then echo "make hosts: network namespaces need root: nothing was tested"; \
		else $(GO) test ./test/hosts -run '$(RUN)' -timeout 25m $(TESTARGS); fi

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
