# Two commands do everything: `make demo` and `make test`. What they need is fetched into .deps/.

.DELETE_ON_ERROR:
.PHONY: demo test lint unit integration bench soak build release deps clean

ROOT := $(CURDIR)
PROVIDER ?= local
PYTHON := $(ROOT)/.deps/venv/bin/python

# The PyPI build of libclang comes without the compiler's own headers; gcc's will do.
export LIBCLANG_PATH := $(ROOT)/.deps/libclang
export BINDGEN_EXTRA_CLANG_ARGS := -isystem $(shell cc -print-file-name=include)
export VECTORFILL_REDIS_SERVER := $(ROOT)/.deps/redis-server
export VECTORFILL_FALKORDB := $(ROOT)/.deps/falkordb.so
export VECTORFILL_MODEL_DIR := $(ROOT)/.deps/model
export VECTORFILL_PYTHON := $(PYTHON)
export CARGO_TARGET_DIR ?= $(ROOT)/target

# cargo-nextest runs each test in a process of its own and ends one that hangs; without it, the
# same tests run under cargo test.
NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)
TEST := $(if $(NEXTEST),cargo nextest run --locked --no-fail-fast,cargo test --locked)

demo: release
	$(PYTHON) demo/demo.py --provider $(PROVIDER) --module $(CARGO_TARGET_DIR)/release/libvectorfill.so

test: lint unit integration

lint: deps
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --lib --no-default-features --features inject -- -D warnings
	.deps/venv/bin/typos
	python3 demo/check.py
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check bans licenses sources; \
	else echo "cargo-deny is not installed: licences and duplicates are not checked"; fi

unit: deps
	$(TEST) --lib

# cargo test does not build a cdylib, and the harness refuses one that is older than src/.
integration: build
	VECTORFILL_MODULE=$(CARGO_TARGET_DIR)/debug/libvectorfill.so $(TEST) --test it

# A hundred times as many simulated lives as `make test` leads, then ten minutes of a real server with
# a bad service; VECTORFILL_SOAK_MINUTES, _NODES and _SEED change that.
soak: release
	VECTORFILL_SEEDS=10000..1000000 cargo test --locked --release --lib sim
	VECTORFILL_MODULE=$(CARGO_TARGET_DIR)/release/libvectorfill.so cargo bench --locked --bench soak

# make bench PARTS="speed ping" measures only these; BENCHMARKS.md says which parts there are.
bench: release
	tools/deps.sh bench
	VECTORFILL_MODULE=$(CARGO_TARGET_DIR)/release/libvectorfill.so \
	cargo bench --locked --bench fill -- $(PARTS)

# The library with panics on demand is kept beside the real one, for the tests of panics.
build: deps
	cargo build --locked --lib --features inject
	cp $(CARGO_TARGET_DIR)/debug/libvectorfill.so $(CARGO_TARGET_DIR)/debug/libvectorfill-inject.so
	cargo build --locked --lib

release: deps
	cargo build --locked --lib --release

deps:
	tools/deps.sh

clean:
	rm -rf target .deps .demo
