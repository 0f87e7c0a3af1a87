# Bare `make` lists the targets. Everything a target needs beyond Go it installs itself (apt, Maven).
SHELL := /bin/bash
export CGO_ENABLED := 0
VERSION ?= $(shell git describe --tags --match 'v*' 2>/dev/null | sed 's/^v//')
LDFLAGS := $(if $(VERSION),-ldflags "-X main.version=$(VERSION)")
PEERS ?= $(HOME)/.cache/peers
export PEERS
lint := go tool -modfile=.ci/tools/go.mod
unit := $(shell go list ./... 2>/dev/null | grep -v -E '/(interop|bench)$$')

.PHONY: help build up test check lint crash fuzz interop interop-short hosts bench packages clean

help: ## this list
	@echo 'targets:'; sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 18

build: ## bin/zkd, bin/kafkad and links under the names people type
	@mkdir -p bin
	go build -trimpath $(LDFLAGS) -o bin/ ./zkd ./kafkad
	@for d in zkd kafkad; do for n in $$(bin/$$d links); do ln -sf $$d bin/$$n; done; done

up: build ## a zkd and a kafkad on localhost:2181 and :9092 (Ctrl-C stops both; data in tmp/up)
	@packaging/up

test: check crash interop-short ## what must pass before anything lands

check: ## build, vet, staticcheck, layout rule, unit tests, race on the daemons' loops
	go build ./...
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'not gofmt-ed:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./... ./.ci/tidy
	go vet -tags interop ./...
	$(lint) staticcheck ./...
	go test -count=1 ./.ci/tidy
	go test $(unit)
	@if [ "$$(go env CC)" ] && command -v $$(go env CC) >/dev/null; then \
		CGO_ENABLED=1 go test -race -short $(unit); \
	else echo 'RACE DETECTOR NOT RUN: no C compiler on this machine'; fi

lint: ## the golangci list of .golangci.yml
	$(lint) golangci-lint run ./...

crash: ## a thousand random power cuts of every writer (CRASH_RUNS=, CRASH_SEED=)
	CRASH_RUNS=$${CRASH_RUNS:-1000} go test -count=1 -run '^TestCrash' ./zkd/... ./kafkad/... -v | grep -E '^(=== RUN|--- |ok|FAIL|panic|\s+\S+_test.go)' | grep -v '=== RUN'; exit $${PIPESTATUS[0]}

fuzz: ## every fuzz target, FUZZTIME= each (default 3s)
	.ci/fuzz $${FUZZTIME:-3s}

interop: build ## real Apache servers and tools, foreign clients (brings them from Maven and PyPI)
	.ci/peers/need interop
	ZKAFKA_BIN=$(CURDIR)/bin go test -count=1 -tags interop -timeout 25m -p 1 ./...  -run 'Interop'

interop-short: build ## the interop tests that this machine can run without installing anything
	ZKAFKA_BIN=$(CURDIR)/bin .ci/peers/short

hosts: ## the packages in real systemd hosts, power cut included (needs root)
	packaging/hosts/test

bench: build ## side by side with the Apache servers, ratios printed as a table
	.ci/peers/need bench
	go test -count=1 -tags bench -run '^TestSideBySide$$' -v -timeout 90m -p 1 ./zkd/bench ./kafkad/bench

packages: ## deb and rpm of both into dist/
	packaging/build $(VERSION)

clean: ## removes bin, dist, tmp
	rm -rf bin dist tmp
