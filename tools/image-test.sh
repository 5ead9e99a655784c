#!/bin/sh
# Starts FalkorDB with vectorfill as the official image does, without docker: with the REDIS_ARGS
# from the README's compose file, with those from our Dockerfile, and with a file, for values with
# spaces.
#   make image-test        on all engines; ENGINES=4.22 for one
set -eu
cd "$(dirname "$0")/.."

server=${VECTORFILL_REDIS_SERVER:?run this with make image-test}
engine=${VECTORFILL_FALKORDB:?run this with make image-test}
module=${VECTORFILL_MODULE:?run this with make image-test}
python=${VECTORFILL_PYTHON:-.deps/venv/bin/python}
model=${VECTORFILL_MODEL_DIR:-$PWD/.deps/model}

# Set by the image.
FALKORDB_ARGS="MAX_QUEUED_QUERIES 25 TIMEOUT 1000 RESULTSET_SIZE 10000"
# Where our Dockerfile puts the library.
installed=/var/lib/falkordb/bin/libvectorfill.so

home=$(mktemp -d)
port=$("$python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
pid=
# No keys or settings from the caller's environment.
unset OPENAI_API_KEY OPENAI_BASE_URL EMBEDDING_MODEL SLEEP_INTERVAL

main() {
    echo "=== as the image starts: FalkorDB ${VECTORFILL_ENGINE:-} ==="
    trap 'if [ -n "$pid" ]; then kill -KILL "$pid"; fi; rm -rf "$home"' EXIT
    trap 'exit 1' INT TERM
    ln -s "$module" "$home/libvectorfill.so"
    compose
    dockerfile
    file
}

compose() {
    data=$home/compose
    start "$(compose_args)"
    expect "both modules are loaded" MODULE LIST : '"vectorfill"' '"graph"'
    expect "a setting may follow the path" CONFIG GET vectorfill.batch-size : '"100"'
    expect "the rest is for Redis" CONFIG GET appendonly : '"yes"'
    expect "the engine has its own arguments" GRAPH.CONFIG GET RESULTSET_SIZE : 10000
    expect "a vector is stored" GRAPH.QUERY kb "CREATE (:Doc {embedding: vecf32([1, 2])})" : "Nodes created: 1"
    expect "and a text" GRAPH.QUERY kb "CREATE (:Doc {text: 'a'})" : "Nodes created: 1"
    expect "a fill without a key says what is missing" VECTORFILL.RUN kb WAIT 10000 : OPENAI_API_KEY
    stop
    start "$(compose_args)"
    expect "the graph is back" GRAPH.RO_QUERY kb "MATCH (n:Doc) RETURN n.text, n.embedding" : '"a"' "<1"
    stop
}

dockerfile() {
    data=$home/dockerfile
    start "$(dockerfile_args)"
    expect "both modules are loaded" MODULE LIST : '"vectorfill"' '"graph"'
    expect "a write is answered" GRAPH.QUERY kb "CREATE (:Doc {text: 'a'})" : "Nodes created: 1"
    expect "and what follows it" PING : true
    stop
}

# REDIS_ARGS is split at spaces, whatever the quotes: only a file can hold a value with a space.
file() {
    data=$home/file
    cat >"$home/redis.conf" <<END
loadmodule $home/libvectorfill.so provider local model $model
vectorfill.graphs "notes kb"
vectorfill.document-prefix "passage: "
appendonly yes
END
    start "$home/redis.conf"
    expect "a value with a space" CONFIG GET vectorfill.document-prefix : '"passage: "'
    expect "a node is written" GRAPH.QUERY kb "CREATE (:Doc {text: 'The ferry leaves at seven'})" : "Nodes created: 1"
    # A write wakes the filler on its own, which may get there first.
    expect "it is filled" VECTORFILL.RUN kb WAIT 20000 : '"deferred": 0'
    expect "and found" VECTORFILL.SEARCH kb Doc 1 "When does the boat go?" : "The ferry leaves at seven"
    stop
    start "$home/redis.conf"
    expect "the vector is back" GRAPH.RO_QUERY kb "MATCH (n) RETURN count(n.embedding)" : "[[1]]"
    stop
}

# The folded lines below REDIS_ARGS are the ones indented further.
compose_args() {
    awk '/^ *REDIS_ARGS: >-/ { depth = match($0, /[^ ]/); next }
         depth && match($0, /[^ ]/) <= depth { exit }
         depth { $1 = $1; printf "%s ", $0 }' README.md | in_our_home
}

dockerfile_args() {
    sed -n 's/^ENV REDIS_ARGS="\(.*\)"$/\1/p' Dockerfile | in_our_home
}

in_our_home() {
    sed "s|$installed|$home/libvectorfill.so|" | grep -F "$home/libvectorfill.so" ||
        fail "no REDIS_ARGS with $installed"
}

# As the image's run.sh, but for the network and the log.
start() {
    if [ ! -d "$data" ]; then mkdir "$data"; fi
    # shellcheck disable=SC2086
    "$server" $1 --protected-mode no --port "$port" --bind 127.0.0.1 --dir "$data" \
        --loadmodule "$engine" $FALKORDB_ARGS >"$home/log" 2>&1 &
    pid=$!
    tries=0
    until ask PING : true 2>/dev/null; do
        tries=$((tries + 1))
        { [ "$tries" -le 50 ] && kill -0 "$pid" 2>/dev/null; } || fail "does not start with REDIS_ARGS=$1"
        sleep 0.1
    done
}

# Like docker, waits ten seconds and then kills.
stop() {
    kill -TERM "$pid"
    tries=0
    while kill -0 "$pid" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -le 100 ] || fail "did not stop within ten seconds of SIGTERM"
        sleep 0.1
    done
    wait "$pid" || fail "ended with status $?"
    pid=
}

# expect "what is checked" COMMAND … : what the reply must hold …
expect() {
    what=$1
    shift
    ask "$@" || fail "$what"
    echo "ok  $what"
}

# A hung server never answers: thirty seconds are enough.
ask() {
    "$python" - "$port" "$@" <<'END'
import json, sys, redis

port, words = int(sys.argv[1]), sys.argv[2:]
colon = words.index(":")
client = redis.Redis(port=port, decode_responses=True, socket_timeout=30, retry=None)
try:
    reply = json.dumps(client.execute_command(*words[:colon]))
except redis.RedisError as error:
    reply = f"{type(error).__name__}: {error}"
missing = [wanted for wanted in words[colon + 1:] if wanted not in reply]
if missing:
    sys.exit(f"{' '.join(words[:colon])}: {missing} not in {reply}")
END
}

fail() {
    echo "FAILED with FalkorDB ${VECTORFILL_ENGINE:-}: $*" >&2
    tail -n 20 "$home/log" >&2 || true
    exit 1
}

main "$@"
