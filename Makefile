SHELL := /bin/bash
.DEFAULT_GOAL := help

# Local stack
PORT ?= 8080
# 0 leaves out the demo pictures.
DEMO ?= 1
# A stack on AWS; empty means the local one.
STACK ?=
# Of template.yaml, for deploy; the others keep their values.
PARAMETERS ?=
# Of a deleted stack, for a new one to take over: Table=... Originals=... Thumbnails=... UserPool=...
ADOPT ?=
# Functions built for AWS: arm64 or x86_64; empty means this machine's.
ARCH ?=

# What cargo compiles for; empty means this machine.
TARGET = $(if $(ARCH),$(ARCH:arm64=aarch64)-unknown-linux-gnu)
MACHINE = $(patsubst arm64,aarch64,$(or $(ARCH),$(shell uname -m)))
FOREIGN = $(filter-out $(shell uname -m),$(MACHINE))

FUNCTIONS := api web workers
PACKAGES := $(FUNCTIONS:%=--package tintype-%)

# Tools that check the OpenAPI document and generate clients from it.
CLIENTS := tests/clients/node_modules/.package-lock.json

# The Python files that are checked and formatted.
PYTHON_FILES := infra tests benches fuzz crates web/e2e

VENV := $(CURDIR)/.venv
PYTHON := $(VENV)/bin/python
BENCH_UPLOAD := $(CURDIR)/.local/bench-upload
export PATH := $(VENV)/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0
# Python compiles its modules once, whatever the machine says, and not into the source tree.
export PYTHONPYCACHEPREFIX := $(VENV)/pycache
unexport PYTHONDONTWRITEBYTECODE

ifeq ($(STACK),)
operate = $(PYTHON) -m infra.local.stack with $(PYTHON) -m infra.operate
logs = $(PYTHON) -m infra.local.stack with $(PYTHON) -m infra.logs
sam_local = $(PYTHON) -m infra.local.stack with $(PYTHON) -m infra.sam_local
else
operate = $(PYTHON) -m infra.operate --stack $(STACK)
logs = $(PYTHON) -m infra.logs --stack $(STACK)
sam_local = $(PYTHON) -m infra.sam_local --stack $(STACK)
endif

stage = @python3 infra/stage.py
# Independent steps, at the same time.
together = @$(MAKE) --no-print-directory -j

.PHONY: help
help: ## List what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-12s %s\n", $$1, $$2 }'

# ---- Locally ----------------------------------------------------------------------------------------

.PHONY: run
run: ## Run everything on this machine until Ctrl-C [PORT=8080 DEMO=1]
	$(together) functions web stack-tools
	@$(PYTHON) -m infra.local.stack run --port $(PORT) --demo $(DEMO)

.PHONY: watch
watch: stack-tools tools ## Beside `make run`: rebuild at each change of the code and update the running functions
	@$(PYTHON) -m infra.local.stack watch $(MAKE) --no-print-directory functions web

# In the profile of the tests, and always of the whole workspace, so that all builds share the compiled dependencies.
.PHONY: functions
functions: tools # For the local stack
	$(stage) "Compile the functions" cargo build --locked --workspace $(FUNCTIONS:%=--bin %)

.PHONY: test-programs
test-programs: tools
	$(stage) "Compile functions, client and tests" bash -c 'set -e; \
		cargo build --locked --workspace --bins --test "*"; \
		cargo test --locked --workspace --no-run'

.PHONY: test
test: ## Run all tests, the black-box ones against stacks of their own [ARGS=name]
	$(together) test-programs web stack-tools test-tools node-tools $(if $(ARGS),,chromium)
	$(together) --output-sync=target unit-tests $(if $(ARGS),,web-unit-tests engine-tests)
	$(stage) "$(if $(ARGS),Black-box tests,Black-box and browser tests)" tests/black_box.sh $(ARGS)

# Of each, a part uses one processor.
.PHONY: unit-tests web-unit-tests engine-tests
unit-tests: tools
	$(stage) "Unit tests" cargo test --locked --workspace $(ARGS)

web-unit-tests: web
	$(stage) "Unit tests and size of the web page" bash -c 'cd web && npm run --silent test && npm run --silent budget'

engine-tests: test-tools
	$(stage) "Image engine against libjpeg-turbo and Pillow" tests/engine.sh

.PHONY: test-web
test-web: functions web stack-tools node-tools chromium ## Run the tests of the web page in Chromium, against a stack of their own [SPECS=name]
	$(stage) "Browser tests" tests/browser.sh $(SPECS)

.PHONY: hold
hold: ## Run the tests that take minutes: tens of thousands of images, a hundred thousand files, twice as many kills, arm64
	$(together) test-programs web stack-tools test-tools
	$(stage) "Kills before and after each call" $(PYTHON) -m infra.local.stack test \
		env RUST_TEST_THREADS=4 TINTYPE_KILL_AT_EACH_CALL=1 \
		cargo test --locked --workspace --test http killed_at_any_call
	$(stage) "OpenAPI contract, all without a login" $(PYTHON) -m infra.local.stack test \
		env ANONYMOUS_PHASES=examples,coverage,fuzzing $(PYTHON) tests/contract.py
	$(stage) "Long tests" $(PYTHON) -m infra.local.stack test env RUST_TEST_THREADS=1 \
		cargo test --locked --workspace --test http hold:: -- --ignored --nocapture
	@$(MAKE) --no-print-directory test-arm64

.PHONY: test-arm64
test-arm64: ARCH := arm64
test-arm64: build test-programs stack-tools ## Run the image engine and the functions as arm64 under qemu-user
	$(stage) "Image engine as arm64" tests/arm64.sh engine
	$(stage) "Instructions of the image engine as arm64" tests/arm64.sh instructions
	$(stage) "Functions as arm64" $(PYTHON) -m infra.local.stack test tests/arm64.sh functions

.PHONY: test-invoke
test-invoke: tools stack-tools build-tools ## Run functions with cargo-lambda and send them the events of tests/events
	$(stage) "cargo lambda invoke" $(PYTHON) -m infra.local.stack test $(PYTHON) tests/invoke.py

.PHONY: mail
mail: stack-tools ## Print the latest mail to an address [EMAIL=...]
	@$(call need,EMAIL)
	@$(PYTHON) -m infra.local.stack mail "$(EMAIL)"

.PHONY: forget
forget: stack-tools ## Delete the local stack's data
	@$(PYTHON) -m infra.local.stack forget

# ---- Locally, or on AWS with STACK=... ---------------------------------------------------------------

.PHONY: plans
plans: stack-tools ## Load or update the plans of infra/plans.json [STACK=...]
	@$(operate) plans

.PHONY: admin
admin: stack-tools ## Make a user an admin [EMAIL=... STACK=...]
	@$(call need,EMAIL)
	@$(operate) admin "$(EMAIL)"

.PHONY: rotate-keys
rotate-keys: stack-tools ## Replace the key that signs sessions, links and cursors [COMPROMISED=1 STACK=...]
	@$(operate) rotate-keys $(if $(filter-out 0,$(COMPROMISED)),--compromised)

# Seconds: younger changes may still be in progress.
GRACE ?= 3600
.PHONY: audit
audit: stack-tools ## Compare table and buckets, mend with MEND=1 [MEND=1 GRACE=3600 STACK=...]
	@$(operate) audit --grace $(GRACE) $(if $(filter-out 0,$(MEND)),--mend)

# Minutes.
SINCE ?=
.PHONY: logs
logs: stack-tools ## Show the latest log lines [SINCE=10 ROUTE=create_image TEXT=... STACK=...]
	@$(logs) $(if $(SINCE),--since $(SINCE)) $(if $(ROUTE),--route "$(ROUTE)") $(if $(TEXT),--text "$(TEXT)")

.PHONY: trace
trace: stack-tools ## Show all that is logged of a request, an image, a job or a message [ID=... SINCE=1440 STACK=...]
	@$(call need,ID)
	@$(logs) --id "$(ID)" $(if $(SINCE),--since $(SINCE))

.PHONY: sam-local
sam-local: stack-tools ## Write template and environment for `sam local`, and say its commands [STACK=...]
	@$(sam_local)

.PHONY: deploy
deploy: stack-tools ## Deploy to AWS; asks at the first time [STACK=... PARAMETERS='Name=value ...' ARCH=arm64 YES=1]
	@$(PYTHON) -m infra.deploy $(if $(STACK),--stack $(STACK)) $(if $(filter-out 0,$(YES)),--yes) \
		$(if $(ARCH),Architecture=$(ARCH)) $(PARAMETERS) $(if $(ADOPT),--adopt $(ADOPT))

.PHONY: backup
backup: stack-tools ## Back a stack up into a bucket [STACK=... BUCKET=... KEEP=7 PRUNE=1]
	@$(call need,STACK)
	@$(call need,BUCKET)
	@$(PYTHON) -m infra.backup --stack "$(STACK)" --bucket "$(BUCKET)" backup $(if $(KEEP),--keep $(KEEP)) \
		$(if $(filter-out 0,$(PRUNE)),--prune)

.PHONY: restore
restore: stack-tools ## Make table and buckets of a backup for a new stack [STACK=... BUCKET=... OF=... BACKUP=...]
	@$(call need,STACK)
	@$(call need,BUCKET)
	@$(call need,OF)
	@$(PYTHON) -m infra.backup --stack "$(STACK)" --bucket "$(BUCKET)" restore --of "$(OF)" \
		$(if $(BACKUP),--backup "$(BACKUP)")

# ---- Building and checking ---------------------------------------------------------------------------

# cargo-lambda's own optimisations replace the manifest's profile, and abort on panic.
.PHONY: build
build: rust-target web build-tools ## Build the functions and the web page for AWS [ARCH=...]
	@$(PYTHON) -m infra.profile $(MACHINE) cargo lambda build --locked --release --disable-optimizations --output-format zip \
		$(PACKAGES) $(if $(ARCH),--$(subst x86_64,x86-64,$(ARCH)))
	@$(PYTHON) -m infra.package

# Of the three executables `api` alone, with the libraries of all: a profile knows functions by symbols, which depend on the
# features of their crates, on whether others need machine code of them, and on the last three variables, with which cargo-lambda
# builds for a machine of its own kind. It cannot build this: its linker does not know the flags that rustc passes.
.PHONY: profile
profile: TARGET = $(MACHINE)-unknown-linux-gnu
profile: rust-target profile-tools functions web stack-tools ## Make anew the profile that `make build` compiles with [ARCH=...]
	$(stage) "Compile api to count what it executes" env RUSTFLAGS=-Cprofile-generate \
		$(if $(FOREIGN),,__CARGO_TEST_CHANNEL_OVERRIDE_DO_NOT_USE_THIS=nightly \
			CARGO_UNSTABLE_TARGET_APPLIES_TO_HOST=true CARGO_TARGET_APPLIES_TO_HOST=false) \
		cargo build --locked --release $(PACKAGES) --package tintype-imaging --lib --bin api --target $(TARGET) \
		$(if $(FOREIGN),--config 'target.$(TARGET).linker="$(MACHINE)-linux-gnu-gcc"')
	$(stage) "Requests" $(PYTHON) -m infra.local.stack test $(PYTHON) -m benches.profile $(MACHINE)

# All code of the project that depends on the architecture is in these crates.
.PHONY: kernels
kernels: ARCH := arm64
kernels: rust-target # Compile the kernels of the image engine for arm64
	$(stage) "Compile the image engine's kernels for arm64" cargo build --locked --target $(TARGET) \
		--package jpeg-scaled --package plane-kernels --package vp8-rows --package vp8l-rows

# The sources of the page.
WEB := $(filter-out web/src/lib/schema.d.ts,$(shell find web -type f \
	-not -path 'web/node_modules/*' -not -path 'web/dist/*' -not -path 'web/e2e/*' -not -path 'web/bench/*' -not -path 'web/test-results/*'))

.PHONY: web
web: web/dist/index.html ## Build the web page: web/dist

web/dist/index.html: $(WEB) docs/openapi.json web/node_modules/.package-lock.json
	$(stage) "Build the web page" npm run --silent --prefix web build
	@touch $@

web/node_modules/.package-lock.json: web/package-lock.json
	@node -e 'const [major, minor] = process.versions.node.split("."); process.exit(+(major < 20 || (major == 20 && minor < 19)))' 2>/dev/null \
		&& command -v npm >/dev/null \
		|| { echo "Node.js 20.19 or newer with npm is missing: install it, see https://nodejs.org."; exit 1; }
	$(stage) "Install the Node tools: web" npm ci --silent --prefix web --no-audit --no-fund
	@touch $@

web/bench/node_modules/.package-lock.json: web/bench/package-lock.json web/node_modules/.package-lock.json
	$(stage) "Install the Node tools: bench" npm ci --silent --prefix web/bench --no-audit --no-fund
	@touch $@

.PHONY: cli
cli: tools ## Build the command-line client: target/release/tintype
	cargo build --locked --release --package tintype-cli
	@echo 'Built target/release/tintype. To run it as `tintype`, install it with `make install-cli`, or in this shell:'
	@echo '  export PATH="$(CURDIR)/target/release:$$PATH"'

.PHONY: install-cli
install-cli: tools ## Install the command-line client into ~/.cargo/bin
	cargo install --locked --path cli
	@command -v tintype >/dev/null || echo 'Add ~/.cargo/bin to your PATH to run it as `tintype`.'

.PHONY: bench
bench: build stack-tools benches/peers/node_modules/.package-lock.json ## Measure the functions: start-up, size, processor time per request [AGAINST=folder]
	cargo build --locked --release --package tintype-floor
	@$(PYTHON) -m infra.local.stack test --release $(PYTHON) -m benches.functions

benches/peers/node_modules/.package-lock.json: benches/peers/package-lock.json
	$(stage) "Install the Node tools: peers" npm ci --silent --prefix benches/peers --no-audit --no-fund
	@touch $@

.PHONY: cost
cost: build stack-tools ## Measure what a month costs on AWS, by public prices
	@$(PYTHON) -m infra.local.stack test --release --record $(PYTHON) -m benches.cost.month

.PHONY: bench-thumbnails
bench-thumbnails: tools ## Measure the thumbnail engine against sharp, libvips and Pillow
	bash benches/thumbnails/run.sh

.PHONY: bench-upload
bench-upload: build cli stack-tools $(BENCH_UPLOAD)/ready ## Measure `tintype upload` against the AWS CLI, s5cmd and rclone
	@$(PYTHON) -m infra.local.stack test --release $(PYTHON) -m benches.upload.bench

.PHONY: bench-web
bench-web: functions web stack-tools node-tools chromium web/bench/node_modules/.package-lock.json ## Measure the web page: Lighthouse, LCP, INP, memory, upload of 500 files
	@$(PYTHON) -m infra.local.stack test --logs .local/bench-web npm run --silent --prefix web bench

.PHONY: screenshots
screenshots: node-tools chromium ## Beside `make run`: make README's screenshots anew from the demo pictures
	@TINTYPE_URL=http://127.0.0.2:$(PORT) node web/screenshots.js

.PHONY: openapi
openapi: ## Write docs/openapi.json anew from the code
	UPDATE_GOLDEN=1 cargo test --locked --workspace --test openapi the_document_is

# Prose is wrapped alike.
DOCUMENTS := web/node_modules/.bin/prettier --no-config --prose-wrap always --print-width 120 *.md docs/*.md

.PHONY: format
format: lint-tools node-tools ## Format Rust, Python and documents
	cargo fmt --all
	ruff format $(PYTHON_FILES)
	ruff check --fix $(PYTHON_FILES)
	$(DOCUMENTS) --write

.PHONY: lint
lint: lint-code lint-web lint-docs lint-openapi lint-deploy lint-secrets ## Run every linter

.PHONY: lint-code
lint-code: tools lint-tools
	$(stage) "cargo fmt" cargo fmt --all --check
	$(stage) "clippy" env RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/infra/clippy.sh bash -c '\
		cargo build --locked --workspace --all-targets && cargo build --locked --workspace --test http'
	$(stage) "cargo deny" cargo deny --locked check bans licenses sources
	$(stage) "cargo shear" cargo shear
	$(stage) "Features of functions and tests" $(PYTHON) tests/features.py
	$(stage) "Profiles of the functions" $(PYTHON) -m tests.profile
	$(stage) "ruff" bash -c 'ruff format --check $(PYTHON_FILES) && ruff check $(PYTHON_FILES)'

.PHONY: lint-deploy
lint-deploy: stack-tools lint-tools
	$(stage) "cfn-lint" cfn-lint template.yaml
	$(stage) "Template" $(PYTHON) tests/template.py
	$(stage) "Cost model" $(PYTHON) -m tests.cost_units
	$(stage) "sam validate" sam validate --template-file template.yaml --region us-east-1

.PHONY: lint-web
lint-web: node-tools
	$(stage) "svelte-check, eslint and prettier" npm run --silent --prefix web check

.PHONY: lint-docs
lint-docs: node-tools
	$(stage) "prettier of the documents" $(DOCUMENTS) --check

.PHONY: lint-openapi
lint-openapi: node-tools
	$(stage) "redocly" bash -c 'cd tests/clients && REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true npx --no-install redocly lint ../../docs/openapi.json'

# By shape only: guessing by entropy or variable name finds nothing but hashes and test passwords.
.PHONY: lint-secrets
lint-secrets: lint-tools
	$(stage) "detect-secrets" bash -c 'git ls-files -z | xargs -0 detect-secrets-hook --disable-plugin KeywordDetector \
		--disable-plugin Base64HighEntropyString --disable-plugin HexHighEntropyString'

.PHONY: advisories
advisories: tools lint-tools ## Look for known vulnerabilities; needs the advisory database from the network
	cargo deny --locked check advisories

.PHONY: hooks
hooks: lint-tools ## Run the linters before each commit
	pre-commit install

.PHONY: clean
clean: ## Delete what was built and installed, not the local stack's data
	rm -rf target web/dist web/node_modules web/bench/node_modules tests/clients/node_modules benches/peers/node_modules .venv .aws-sam

# ---- Tools ------------------------------------------------------------------------------------------

need = [ -n "$($(1))" ] || { echo "Say which: $(1)=..."; exit 1; }

.PHONY: tools
tools:
	@command -v cargo >/dev/null \
		|| { echo "Rust is missing: install it with rustup, see https://rustup.rs."; exit 1; }
	@command -v cc >/dev/null \
		|| { echo "A C compiler is missing: install one, such as Debian's build-essential."; exit 1; }

.PHONY: profile-tools
profile-tools: tools
	@test "$$(uname -s)" = Linux || { echo "The functions, which are for Linux, have to run here: make the profile on Linux."; exit 1; }
	@test -z "$(FOREIGN)" || { command -v qemu-$(MACHINE) && command -v $(MACHINE)-linux-gnu-gcc; } >/dev/null \
		|| { echo "qemu-$(MACHINE) or $(MACHINE)-linux-gnu-gcc is missing: install them, such as Debian's qemu-user and gcc-$(subst _,-,$(MACHINE))-linux-gnu."; exit 1; }
	@test -x "$$(rustc --print sysroot)/lib/rustlib/$$(rustc -vV | sed -n 's/^host: //p')/bin/llvm-profdata" \
		|| { command -v rustup >/dev/null && rustup component add llvm-tools; } \
		|| { echo "llvm-profdata is missing: install it with 'rustup component add llvm-tools', see https://rustup.rs."; exit 1; }

# The standard library for TARGET.
.PHONY: rust-target
rust-target: tools
	@test -z "$(TARGET)" || test -d "$$(rustc --print target-libdir --target $(TARGET))" \
		|| { command -v rustup >/dev/null && rustup target add $(TARGET); } \
		|| { echo "Rust's standard library for $(TARGET) is missing: install it with 'rustup target add $(TARGET)', see https://rustup.rs."; exit 1; }

# Its own groups, so that `make run` waits only for what it needs.
.PHONY: stack-tools build-tools test-tools lint-tools
stack-tools build-tools test-tools lint-tools: %-tools: $(VENV)/%.ready

install = $(VENV)/bin/uv pip install --quiet --require-hashes --python $(PYTHON) --requirements

$(VENV)/%.ready: infra/requirements/%.txt $(VENV)/bin/uv
	$(stage) "Install the Python tools: $*" $(install) $<
	@touch $@

$(VENV)/bin/uv: infra/requirements/uv.txt
	@python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
		|| { echo "Python 3.10 or newer with venv is missing: install it, such as Debian's python3-venv."; exit 1; }
	@test -x $(PYTHON) || python3 -m venv $(VENV)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# The browser of the tests; Playwright's own is not downloaded. The headless shell, where there is one, is the same browser
# without its window, and takes less than half of the processor time.
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
HEADLESS_SHELL ?= $(shell command -v chromium-headless-shell)
export CHROMIUM HEADLESS_SHELL
.PHONY: chromium
chromium:
	@test -x "$(CHROMIUM)" || { echo "Chromium is missing: install it, such as Debian's chromium, or name it in CHROMIUM."; exit 1; }

.PHONY: node-tools
node-tools: $(CLIENTS) web/node_modules/.package-lock.json

$(CLIENTS): tests/clients/package-lock.json
	@command -v npm >/dev/null || { echo "Node 20 or newer with npm is missing: install it, see https://nodejs.org."; exit 1; }
	$(stage) "Install the Node tools: clients" npm ci --silent --prefix tests/clients --no-audit --no-fund
	@touch $@

# The AWS CLI wants versions of its own.
$(BENCH_UPLOAD)/ready: benches/upload/requirements.txt $(VENV)/bin/uv
	@test -x $(BENCH_UPLOAD)/venv/bin/python || python3 -m venv $(BENCH_UPLOAD)/venv
	@$(VENV)/bin/uv pip install --quiet --require-hashes --python $(BENCH_UPLOAD)/venv/bin/python --requirements $<
	@touch $@

.PHONY: requirements
requirements: $(VENV)/bin/uv ## Bring the versions of the Python tools up to date
	cd infra/requirements && for group in stack build test lint; do \
		uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.10 $$group.in -o $$group.txt || exit 1; done
