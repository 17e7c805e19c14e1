# make demo    builds nsview and shows its main job on real containers, no engine needed
# make test    installs what the tests need (as root on Debian) and passes them all, as root and as an ordinary user
# make check   formatting, vet, staticcheck, tidy, shell scripts
# make help    lists the rest

SHELL := /bin/bash
export CGO_ENABLED := 0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)

GOFUMPT     := go run mvdan.cc/gofumpt@v0.12.0
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOLANGCI    := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.6.2

.PHONY: help build install packages test-packages demo test test-engines check lint fmt fuzz soak stress bench microbench generate clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

build: ## build bin/nsview, one static binary
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/nsview ./cmd/nsview

install: build ## install nsview with man pages and completions below PREFIX (/usr/local)
	PREFIX=$(or $(PREFIX),/usr/local) packaging/tree bin/nsview "$(DESTDIR)"

packages: ## build dist: tarballs, .deb, .rpm, .apk, SBOMs for amd64 and arm64
	packaging/build dist

test-packages: ## build the packages twice, install and remove them (as root on Debian)
	.ci/install packages
	packaging/test

demo: build ## the experiment that nsview began with: one file, two names; one process, two PIDs
	./docs/demo.sh bin/nsview

test: ## every test, as root and as an ordinary user
	./.ci/test

test-engines: ## only the tests that start real docker, podman, containerd, lxc, ... (as root on Debian it installs them)
	./.ci/test-engines

check: ## what CI holds besides the tests
	@out=$$($(GOFUMPT) -l $$(git ls-files -co --exclude-standard '*.go')) && test -z "$$out" || { echo "gofumpt would change:" $$out; exit 1; }
	go vet ./...
	$(STATICCHECK) ./...
	go mod tidy -diff
	go generate ./...
	git diff --exit-code --stat
	@if command -v shellcheck >/dev/null; then shellcheck procscan/trace/bpf/generate.sh .ci/run .ci/install .ci/test .ci/test-engines docs/demo.sh docs/guides/guides.sh packaging/tree packaging/build packaging/test && shellcheck -s bash -e SC1003,SC2034,SC2154 cmd/nsview/complete_bash.sh; else echo "check: left out shellcheck, which is not installed"; fi

lint: ## golangci-lint, slow to build
	$(GOLANGCI) run ./...

fmt: ## format the code
	$(GOFUMPT) -w $$(git ls-files -co --exclude-standard '*.go')

FUZZTIME ?= 30s
fuzz: ## run every fuzz target for FUZZTIME
	@set -e; for pkg in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$pkg | grep ^Fuzz); do \
	    echo "$$pkg $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; done

soak: ## ask the kernel 100,000 questions that the access engine answers, carry out 2,000 fixes (as root; NSVIEW_SOAK_SEED for other ones)
	NSVIEW_SOAK_N=$${NSVIEW_SOAK_N:-100000} NSVIEW_SOAK_FIXES=$${NSVIEW_SOAK_FIXES:-2000} go test -count 1 -timeout 30m -run AgainstKernel -v ./procscan/pathwalk

stress: ## thousands of containers, mount namespaces, mounts, a fork bomb, a directory of 1,000,000 files: the whole sizes of what make test has few of (as root; some 10 minutes, 6 GB)
	NSVIEW_STRESS=1 go test -count 1 -timeout 40m -v ./cmd/nsview -run 'TestCrowds|TestForkBomb|TestHugeDirectory|TestDeepTree|TestNoPIDsLeft|TestPIDMaxReached|TestPathsBeyondPathMax|TestInterrupted'

BENCH ?= -sizes 1000,2000,20000 -files 1000000
bench: build ## compare with ps, lsns, find, unshare and bwrap and write docs/performance.md (as root; BENCH='-sizes 2000' is short)
	go run ./bench -write docs/performance.md $(BENCH)

microbench: ## Go benchmarks of the parts
	go test -run '^$$' -bench . -benchmem ./...

generate: ## write what is made from the code: docs/schema, docs/commands
	go test -count 1 ./cmd/nsview -run IsCurrent -update

clean: ## remove what was built
	rm -rf bin dist
