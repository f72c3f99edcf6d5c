# Everything a developer runs. `make` alone lists the targets.
# Needs Go and a shell; what else is missing (RabbitMQ, python3-pika, gcc for the
# race detector) scripts/install-deps.sh installs on Debian.

GO        ?= go
TOOL      := $(GO) tool -modfile=tools/go.mod
TESTFLAGS ?=
CHAOS     ?=
FUZZTIME  ?= 20s
COUNT     ?= 6
N         ?= 2000
BUILD     := .build

.DEFAULT_GOAL := help
.PHONY: help check fmt vet cross fix lint deps test race test-chaos chaos chaos-docs soak fuzz bench-smoke bench demo stat build release clean

help: ## list the targets
	@awk 'BEGIN {FS = ":[^#]*## "} /^[a-z-]+:[^#]*## / {printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: lint race ## what every change must pass: format, vet, go fix, linters, tests under -race

fmt: ## rewrite the files as gofumpt wants them
	$(TOOL) gofumpt -w .

vet:
	$(GO) vet ./...

cross: ## build for the systems that nobody here has
	GOOS=darwin GOARCH=arm64 $(GO) build ./...
	GOOS=windows GOARCH=amd64 $(GO) build ./...

fix: ## rewrite the files as `go fix` wants them
	$(GO) fix ./...

lint: vet cross ## formatters and linters alone, nothing is rewritten
	@out=$$($(TOOL) gofumpt -l .); [ -z "$$out" ] || { echo "make fmt would change:"; echo "$$out"; exit 1; }
	@out=$$($(GO) fix -diff ./... 2>&1) && [ -z "$$out" ] || { echo "make fix would change:"; echo "$$out"; exit 1; }
	$(TOOL) golangci-lint run

deps:
	@scripts/install-deps.sh

test: deps ## all tests against a private RabbitMQ; installs what is missing
	$(GO) test $(TESTFLAGS) ./...

race: ## all tests under the race detector
	@scripts/install-deps.sh --race
	$(GO) test -race $(TESTFLAGS) ./...

test-chaos: ## the chaos tests alone, under the race detector, three times
	@scripts/install-deps.sh --race
	$(GO) test -race -count=3 -run Chaos -v $(TESTFLAGS) ./...

chaos: deps ## all faults against a RabbitMQ of its own, a table on stdout; CHAOS='-run queue -o json' for other flags
	$(GO) run ./scripts/chaos $(CHAOS)

chaos-docs: deps ## make chaos, and docs/faults.md made from it
	$(GO) run ./scripts/chaos -page docs/faults.md $(CHAOS)

soak: deps ## N deliveries (1000000) under random faults; ended with Ctrl-C it goes on from .build/soak.json the next time
	@mkdir -p $(BUILD)
	$(GO) run ./scripts/chaos -soak $(if $(filter 2000,$(N)),1000000,$(N)) -state $(BUILD)/soak.json $(CHAOS)

fuzz: ## each fuzz test for FUZZTIME (20s)
	@scripts/fuzz.sh $(FUZZTIME)

bench-smoke: deps ## every benchmark once, so that they keep working
	$(GO) test -run '^$$' -bench . -benchtime 1x ./...
	$(GO) run ./bench noop -n $(N) -vs raw
	$(GO) run ./bench brokers -n $(N) -runs 1

bench: deps ## micro benchmarks COUNT times (6) through benchstat, then noop and latency against the raw client, Python workers, the brokers, delays and a stop
	@mkdir -p $(BUILD)
	$(GO) test -run '^$$' -bench . -count $(COUNT) ./... | tee $(BUILD)/micro.txt
	$(TOOL) benchstat $(wildcard bench/results/micro.txt) $(BUILD)/micro.txt
	$(GO) run ./bench noop -vs raw
	$(GO) run ./bench latency -vs raw
	$(GO) run ./bench python -n 100000 -vs none
	$(GO) run ./bench brokers -queued 1000000
	$(GO) run ./bench delay
	$(GO) run ./bench stop -runs 5

demo: ## a private RabbitMQ, the latency example with N tasks (2000), its progress and its tree
	@N=$(N) scripts/demo.sh

stat: ## size of each package against the budget
	@$(GO) run ./scripts/stat

build: ## the binary, in .build
	$(GO) build -trimpath -o $(BUILD)/ ./cmd/magne-actors

release: ## archives and checksums for VERSION in dist (VERSION=0.1.0)
	@scripts/release.sh "$(VERSION)"

clean: ## remove what the targets above made
	rm -rf $(BUILD) dist
