# Plimsoll. `make run` needs Rust and make; `make test` installs what the tests need.

CARGO ?= cargo
TIME ?= 60
# Of the tests at a time: most of them wait for something most of the time.
THREADS ?= $(shell echo $$((2 * $$(nproc))))

.PHONY: run cluster image static test screenshots fuzz bench lint setup clean help

run: ## Build Plimsoll and show the demo: sample services, autoscaling, a live table
	$(CARGO) run --release -- demo $(ARGS)

cluster: ## A real Kubernetes control plane with Plimsoll registered and four autoscaled workloads, until Ctrl-C
	./.ci/setup cluster
	$(CARGO) build --bin plimsoll --example cluster
	$(CARGO) run --example cluster -- $(ARGS)

image: ## The container image plimsoll:VERSION, by buildah or docker; ARGS goes to its build
	./deploy/docker/image $(ARGS)

static: setup ## The static binary and the files of the image, for the tests
	PROFILE=plain ./deploy/docker/build "$${CARGO_TARGET_DIR:-target}/tmp/builder/image"

test: setup lint static ## Install what the tests need and run everything
	$(CARGO) test --lib --test tests -- --test-threads $(THREADS)

screenshots: setup ## Draw the dashboards into dashboards/screenshots; ARGS names uids, all without
	$(CARGO) build --bin plimsoll --example scene
	./.ci/screenshots $(ARGS)

fuzz: ## Invent inputs for each parser, TIME=60 seconds each; TARGETS names parsers, all without
	TIME=$(TIME) ./.ci/fuzz $(TARGETS)

bench: setup ## Measure what Plimsoll costs; ARGS names sections, all without; --quick tries them out
	$(CARGO) bench --bench bench -- $(ARGS)

lint: ## Formatting, clippy, rustdoc
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items

setup: ## Install the real programs the tests talk to (Debian packages, musl, Prometheus 3's engine, a control plane)
	./.ci/setup

clean: ## Remove what was built
	$(CARGO) clean

help: ## List these commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'
