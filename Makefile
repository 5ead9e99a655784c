# Two commands do everything: `make demo` and `make test`. They fetch what they need into .deps/.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The tests measure response times: nothing may be built at the same time.
.NOTPARALLEL:

# The engines that `make test` runs on, and the one to benchmark.
ENGINES ?= 4.16 4.18 4.22
ENGINE ?= 4.16

ROOT := $(CURDIR)
PROVIDER ?= local
PYTHON := $(ROOT)/.deps/venv/bin/python

# The PyPI build of libclang comes without the compiler's own headers; gcc's work too.
export LIBCLANG_PATH := $(ROOT)/.deps/libclang
export BINDGEN_EXTRA_CLANG_ARGS := -isystem $(shell cc -print-file-name=include)
export VECTORFILL_MODEL_DIR := $(ROOT)/.deps/model
export VECTORFILL_PYTHON := $(PYTHON)
export VECTORFILL_CLIENTS := $(ROOT)/.deps/clients/bin/python
export CARGO_TARGET_DIR ?= $(ROOT)/target

# $(call on,4.22) before a command selects the engine that its servers start with. One given by
# VECTORFILL_REDIS_SERVER and VECTORFILL_FALKORDB replaces them all.
ifeq ($(VECTORFILL_REDIS_SERVER)$(VECTORFILL_FALKORDB),)
fetched = $1
on = VECTORFILL_ENGINE=$1 VECTORFILL_REDIS_SERVER=$(ROOT)/.deps/engines/$1/redis-server \
     VECTORFILL_FALKORDB=$(ROOT)/.deps/engines/$1/falkordb.so
else
ifeq ($(and $(VECTORFILL_REDIS_SERVER),$(VECTORFILL_FALKORDB)),)
$(error give both VECTORFILL_REDIS_SERVER and VECTORFILL_FALKORDB, or neither)
endif
export VECTORFILL_REDIS_SERVER VECTORFILL_FALKORDB
override ENGINE := $(or $(VECTORFILL_ENGINE),given)
override ENGINES := $(ENGINE)
fetched =
on = VECTORFILL_ENGINE=$1
endif
INTEGRATION := $(ENGINES:%=integration-%)
IMAGE_TEST := $(ENGINES:%=image-test-%)
.PHONY: help demo test lint unit fuzz-smoke integration $(INTEGRATION) image-test $(IMAGE_TEST) bench \
	soak build release deps engines clients clean

# cargo-nextest runs each test in its own process and kills one that hangs; without it, the same
# tests run under cargo test.
NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)
TEST := $(if $(NEXTEST),cargo nextest run --locked,cargo test --locked --no-fail-fast)

help: ## shows this list
	@sed -n 's/^\([a-z-]*\):.* ## /\1\t/p' Makefile | expand -t 14

demo: release ## FalkorDB with vectorfill, a graph of notes and two questions; PROVIDER=openai
	$(PYTHON) demo/demo.py --provider $(PROVIDER) --module $(CARGO_TARGET_DIR)/release/libvectorfill.so

test: engines lint unit fuzz-smoke image-test integration ## everything CI runs; ENGINES=4.22 for one engine only

lint: deps ## format, clippy, spelling, licences
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --lib --no-default-features --features inject -- -D warnings
	.deps/venv/bin/typos
	python3 demo/check.py
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check bans licenses sources; \
	else echo "cargo-deny is not installed: licences and duplicates are not checked"; fi

unit: deps ## unit tests and simulated lives, without a server
	$(TEST) --lib

fuzz-smoke: deps ## each fuzz target for some seconds, without cargo-fuzz
	tools/fuzz-smoke.sh

integration: $(INTEGRATION) ## tests on a real server, once with every engine

# cargo test does not build the cdylib, and the harness refuses one older than src/.
$(INTEGRATION): integration-%: build engines clients
	@echo "=== FalkorDB $* ==="
	$(call on,$*) VECTORFILL_MODULE=$(CARGO_TARGET_DIR)/debug/libvectorfill.so $(TEST) --test it

image-test: $(IMAGE_TEST) ## starts as the official image starts, once with every engine

$(IMAGE_TEST): image-test-%: build engines
	$(call on,$*) VECTORFILL_MODULE=$(CARGO_TARGET_DIR)/debug/libvectorfill.so tools/image-test.sh

# VECTORFILL_SOAK_MINUTES, _NODES and _SEED change what the real server is put through.
soak: release ## a million simulated lives, then ten minutes of a real server with a faulty service
	tools/deps.sh $(call fetched,$(ENGINE))
	VECTORFILL_SEEDS=10000..1000000 cargo test --locked --release --lib sim
	$(call on,$(ENGINE)) VECTORFILL_MODULE=$(CARGO_TARGET_DIR)/release/libvectorfill.so \
	cargo bench --locked --bench soak

# make bench PARTS="speed ping" measures only these parts; BENCHMARKS.md lists them all.
bench: release ## measures, against other fillers; ENGINE=4.22 PARTS="speed ping"
	tools/deps.sh bench $(call fetched,$(ENGINE))
	$(call on,$(ENGINE)) VECTORFILL_MODULE=$(CARGO_TARGET_DIR)/release/libvectorfill.so \
	cargo bench --locked --bench fill -- $(PARTS)

# The library with injectable panics is kept next to the real one, for the panic tests.
build: deps ## the library, unoptimised, for the tests
	cargo build --locked --lib --features inject
	cp $(CARGO_TARGET_DIR)/debug/libvectorfill.so $(CARGO_TARGET_DIR)/debug/libvectorfill-inject.so
	cargo build --locked --lib

release: deps ## the optimised library, for use
	cargo build --locked --lib --release

deps: ## fetches what the build and the demo need
	tools/deps.sh

engines: ## fetches the engines too
	tools/deps.sh $(call fetched,$(ENGINES))

clients: ## fetches the client libraries too
	tools/deps.sh clients

clean: ## removes everything built or fetched
	rm -rf target .deps .demo
