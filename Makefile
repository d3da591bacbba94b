# make test is what CI runs; make check is what a contributor runs before a commit.
GO       ?= go
PACKAGES ?= ./...
# Property tests draw from a fixed seed, so that a run says something about the change that it tests;
# SEED=0 draws afresh, to look for more.
SEED     ?= 1
RAPID     = $(shell grep -rl --include=*_test.go pgregory.net/rapid internal | xargs -n1 dirname | sort -u | sed 's|^|./|')
OTHERS    = $(shell $(GO) list ./... | grep -vxF "$$($(GO) list $(RAPID))")
# The first browser that is installed, of those that can be driven.
BROWSER  ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome || true)
export CGO_ENABLED = 0

.PHONY: build test e2e browser race lint check fuzz bench golden schema clean

build: ## the binary, stripped
	$(GO) build -tags grpcnotrace -trimpath -ldflags "-s -w" -o bin/sluice ./cmd/sluice # the tag keeps a web page of grpc out, and with it 7 MB

test: ## everything that must hold, in a few minutes
	$(GO) vet ./...
	$(GO) test -timeout 30m $(OTHERS)
	$(GO) test -timeout 30m $(RAPID) -rapid.seed=$(SEED)
	@$(MAKE) --no-print-directory browser

browser: ## the console in a real browser, if one is installed; the pictures are in bin/screenshots
	@if [ -n "$(BROWSER)" ]; then \
	  mkdir -p bin/screenshots && SLUICE_CHROMIUM=$(BROWSER) SLUICE_SCREENSHOTS=$(CURDIR)/bin/screenshots $(GO) test -tags browser -timeout 15m -run Browser ./internal/console; \
	else echo "the browser tests are skipped: install chromium, or name a browser with BROWSER=/path/to/it"; fi

e2e: ## real client libraries through a gateway: see e2e/clients/README.md; needs Node
	cd e2e/clients/npm && npm ci --no-audit --no-fund
	cd e2e/clients && $(GO) vet ./... && $(GO) test -timeout 20m ./...

race: ## the race detector needs a C compiler
	CGO_ENABLED=1 $(GO) test -race -timeout 30m $(PACKAGES)

lint: ## golangci-lint v2 and gofumpt must be installed
	gofumpt -l . | (! grep .)
	golangci-lint run

check: lint test

fuzz: ## each fuzz target for a short while
	@for p in $$($(GO) list ./internal/...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 10s $$p || exit 1; \
	  done; done

bench: ## the figures of bench/README.md
	$(GO) test -run '^$$' -bench . -benchmem $(PACKAGES)

golden: ## write the golden files anew; read the diff before you commit it
	$(GO) test ./internal/rollout ./internal/release -rewrite

clean:
	rm -rf bin
