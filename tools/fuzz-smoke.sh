#!/bin/sh
# Runs each fuzz target for some seconds, from its seeds, with the pinned stable toolchain: guided by
# coverage as under cargo-fuzz, but without a sanitizer, which needs nightly.
set -eu
cd "$(dirname "$0")/../fuzz"
if ! c++ --version >/dev/null 2>&1; then
    echo "there is no C++ compiler, which libFuzzer needs: the fuzz targets are not run"
    exit 0
fi

host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-../target}/fuzz
# With --target, these apply neither to build scripts nor to macros.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --locked --quiet --bins --target "$host" --target-dir "$target"

for name in reply_tree provider_json parsers; do
    found=$target/found/$name
    rm -rf "$found"
    mkdir -p "$found"
    echo "fuzzing $name"
    "$target/$host/debug/$name" -seed=1 -runs=20000 -max_total_time=12 -timeout=10 -max_len=512 \
        -artifact_prefix="$found-" "$found" "seeds/$name" >"$found.log" 2>&1 || {
        tail -n 40 "$found.log"
        echo "fuzzing $name failed; to repeat: $target/$host/debug/$name $found-*"
        exit 1
    }
    tail -n 1 "$found.log"
done
