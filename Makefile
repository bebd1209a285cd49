SHELL := /bin/bash
.DEFAULT_GOAL := help

# Local stack
PORT ?= 8080
# A stack on AWS; empty means the local one.
STACK ?=
# Of template.yaml, for deploy; the others keep their values.
PARAMETERS ?=
# Functions built for AWS: arm64 or x86_64; empty means this machine's.
ARCH ?=

CARGO_DENY := 0.20.2
CARGO_MACHETE := 0.9.2

# What is checked and formatted.
PYTHON_FILES := infra tests benches fuzz crates

VENV := $(CURDIR)/.venv
TOOLS := $(CURDIR)/.local/tools
PYTHON := $(VENV)/bin/python
BENCH_UPLOAD := $(CURDIR)/.local/bench-upload
export PATH := $(VENV)/bin:$(TOOLS)/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0

ifeq ($(STACK),)
operate = $(PYTHON) -m infra.local.stack with $(PYTHON) -m infra.operate
else
operate = $(PYTHON) -m infra.operate --stack $(STACK)
endif

http = cargo test --locked --workspace --test http

.PHONY: help
help: ## List what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-12s %s\n", $$1, $$2 }'

# ---- Locally ----------------------------------------------------------------------------------------

.PHONY: run
run: build ## Run everything on this machine until Ctrl-C [PORT=8080]
	@$(PYTHON) -m infra.local.stack run --port $(PORT)

# Always the whole workspace, or cargo would build the SDK for each choice of packages.
.PHONY: test
test: build ## Run all tests, the black-box ones against a stack of their own [ARGS=name]
	cargo test --locked --workspace $(ARGS)
	@$(if $(ARGS),,examples=$${CARGO_TARGET_DIR:-target}/debug/examples && \
		$(PYTHON) crates/jpeg-scaled/tests/against_libjpeg.py $$examples/planes && \
		$(PYTHON) crates/imaging/tests/against_pillow.py $$examples/bench_worker && \
		$(PYTHON) crates/imaging/tests/memory.py $$examples/bench_worker)
	cargo build --locked --workspace --exclude tintype-tests --bin tintype
	cargo test --locked --workspace --test http --no-run
	@$(PYTHON) -m infra.local.stack test bash -c 'set -e; $(if $(ARGS),,$(PYTHON) tests/contract.py;) \
		RUST_TEST_THREADS=4 $(http) $(ARGS); \
		$(if $(ARGS),,$(PYTHON) tests/schedule.py;) \
		$(http) $(or $(ARGS),cli::many) -- --ignored --skip hold:: --skip audit::; \
		$(http) $(ARGS) -- --ignored --skip hold:: --skip cli::many'

.PHONY: hold
hold: build ## Run the tests that take minutes: tens of thousands of images, a hundred thousand files
	cargo build --locked --workspace --exclude tintype-tests --bin tintype
	cargo test --locked --workspace --test http --no-run
	@$(PYTHON) -m infra.local.stack test env RUST_TEST_THREADS=1 $(http) hold:: -- --ignored --nocapture

.PHONY: mail
mail: $(VENV)/ready ## Print the latest mail to an address [EMAIL=...]
	@$(call need,EMAIL)
	@$(PYTHON) -m infra.local.stack mail "$(EMAIL)"

.PHONY: forget
forget: $(VENV)/ready ## Delete the local stack's data
	@$(PYTHON) -m infra.local.stack forget

# ---- Locally, or on AWS with STACK=... ---------------------------------------------------------------

.PHONY: plans
plans: $(VENV)/ready ## Load or update the plans of infra/plans.json [STACK=...]
	@$(operate) plans

.PHONY: admin
admin: $(VENV)/ready ## Make a user an admin [EMAIL=... STACK=...]
	@$(call need,EMAIL)
	@$(operate) admin "$(EMAIL)"

# Seconds: what changed since may be at work still.
GRACE ?= 3600
.PHONY: audit
audit: $(VENV)/ready ## Compare table and buckets, mend with MEND=1 [MEND=1 GRACE=3600 STACK=...]
	@$(operate) audit --grace $(GRACE) $(if $(filter-out 0,$(MEND)),--mend)

.PHONY: deploy
deploy: ARCH := $(or $(ARCH),arm64)
deploy: need-stack build ## Deploy to AWS [STACK=... PARAMETERS='Name=value ...' ARCH=arm64]
	sam deploy --template-file template.yaml --stack-name $(STACK) --resolve-s3 --capabilities CAPABILITY_IAM \
		--no-fail-on-empty-changeset --parameter-overrides Architecture=$(ARCH) $(PARAMETERS)
	@$(operate) plans --add-only

# ---- Building and checking ---------------------------------------------------------------------------

# cargo-lambda's own optimisations (one codegen unit, LTO, abort on panic) lengthen the build and replace the
# manifest's profile, which keeps unwinding.
.PHONY: build
build: tools $(VENV)/ready ## Build the functions [ARCH=...]
	cargo lambda build --locked --release --disable-optimizations --output-format zip --package tintype-api --package tintype-workers \
		$(if $(ARCH),--$(subst x86_64,x86-64,$(ARCH)))

.PHONY: cli
cli: tools ## Build the command-line client: target/release/tintype
	cargo build --locked --release --package tintype-cli

.PHONY: bench
bench: build ## Measure the functions: start-up, size, processor time per request
	@$(PYTHON) -m infra.local.stack test $(PYTHON) benches/functions.py

.PHONY: bench-thumbnails
bench-thumbnails: tools ## Measure the thumbnail engine against sharp, libvips and Pillow
	bash benches/thumbnails/run.sh

.PHONY: bench-upload
bench-upload: build cli $(BENCH_UPLOAD)/ready ## Measure `tintype upload` against the AWS CLI
	@$(PYTHON) -m infra.local.stack test $(PYTHON) benches/upload/bench.py

.PHONY: openapi
openapi: ## Write docs/openapi.json anew from the code
	UPDATE_GOLDEN=1 cargo test --locked --package tintype-api the_document_is

.PHONY: format
format: $(VENV)/ready ## Format Rust and Python
	cargo fmt --all
	ruff format $(PYTHON_FILES)
	ruff check --fix $(PYTHON_FILES)

.PHONY: lint
lint: $(VENV)/ready $(TOOLS)/ready lint-code lint-deploy lint-secrets ## Run every linter

.PHONY: lint-code
lint-code: tools $(VENV)/ready $(TOOLS)/ready
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --workspace --test http -- -D warnings
	cargo deny --locked check bans licenses sources
	cargo machete
	ruff format --check $(PYTHON_FILES)
	ruff check $(PYTHON_FILES)

.PHONY: lint-deploy
lint-deploy: $(VENV)/ready
	cfn-lint template.yaml
	sam validate --lint --template-file template.yaml --region us-east-1

# By shape only: guessing by entropy or variable name finds nothing but hashes and test passwords.
.PHONY: lint-secrets
lint-secrets: $(VENV)/ready
	git ls-files -z | xargs -0 detect-secrets-hook --disable-plugin KeywordDetector \
		--disable-plugin Base64HighEntropyString --disable-plugin HexHighEntropyString

.PHONY: advisories
advisories: $(TOOLS)/ready ## Look for known vulnerabilities; needs the advisory database from the network
	cargo deny --locked check advisories

.PHONY: hooks
hooks: $(VENV)/ready ## Run the linters before each commit
	pre-commit install

.PHONY: clean
clean: ## Delete what was built and installed, not the local stack's data
	rm -rf target .venv .local/tools .aws-sam

# ---- Tools ------------------------------------------------------------------------------------------

need = [ -n "$($(1))" ] || { echo "Say which: $(1)=..."; exit 1; }

.PHONY: need-stack
need-stack:
	@$(call need,STACK)

.PHONY: tools
tools:
	@command -v cargo >/dev/null \
		|| { echo "Rust is missing: install it with rustup, see https://rustup.rs."; exit 1; }
	@command -v cc >/dev/null \
		|| { echo "A C compiler is missing: install one, such as Debian's build-essential."; exit 1; }

# The version of pip that came with Python may not understand the requirements.
$(VENV)/ready: infra/requirements.txt infra/requirements-pip.txt
	@python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
		|| { echo "Python 3.10 or newer with venv is missing: install it, such as Debian's python3-venv."; exit 1; }
	@echo "Installing the Python tools into .venv ..."
	@test -x $(PYTHON) || python3 -m venv $(VENV)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r infra/requirements-pip.txt
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r infra/requirements.txt
	@touch $@

# The AWS CLI wants versions of its own.
$(BENCH_UPLOAD)/ready: benches/upload/requirements.txt $(VENV)/ready
	@test -x $(BENCH_UPLOAD)/venv/bin/python || python3 -m venv $(BENCH_UPLOAD)/venv
	@$(BENCH_UPLOAD)/venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r infra/requirements-pip.txt
	@$(BENCH_UPLOAD)/venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(TOOLS)/ready: Makefile | tools
	@echo "Installing cargo-deny and cargo-machete into .local/tools, which takes some minutes ..."
	cargo install --quiet --locked --root $(TOOLS) cargo-deny@$(CARGO_DENY) cargo-machete@$(CARGO_MACHETE)
	@touch $@
