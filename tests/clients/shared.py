"""What the programs share: the service's vectors, an embedder that counts, waits with deadlines.

They import this first: from then on nothing but loopback is connected to."""

import argparse
import asyncio
import json
import os
import signal
import sys
import time

os.environ["GRAPHITI_TELEMETRY_ENABLED"] = "false"

# No program waits longer than this for vectors, nor for one call of a library (seconds).
LIMIT = 60
CALL = 20


def _only_loopback(event, arguments):
    host = {"socket.connect": lambda: arguments[1][0], "socket.getaddrinfo": lambda: arguments[0]}
    if event in host and host[event]() not in ("127.0.0.1", "::1", "localhost"):
        raise PermissionError(f"a test wants to connect to {host[event]()}")


sys.addaudithook(_only_loopback)


def vector_of(text, dimensions):
    """What the scripted embedding service answers (`vector_of` in testkit/src/service.rs)."""
    word = (1 << 64) - 1
    seed, hashed = 1, 0xCBF29CE484222325
    for byte in text.encode():
        seed = hashed = (hashed ^ byte) * 0x100000001B3 & word
    mixed = (((seed ^ at) * 0x9E3779B97F4A7C15 & word) >> 40 for at in range(dimensions))
    return [(number + 1) / (1 << 24) - 0.5 for number in mixed]


class Counting:
    """An embedder that agrees with the service and remembers what it was asked to embed. Each
    library's own class of embedders comes after it among the parents."""

    def __init__(self, dimensions):
        self.dimensions = dimensions
        self.documents, self.queries = [], []

    def embed_query(self, text, **_):
        self.queries.append(text)
        return vector_of(text, self.dimensions)

    def embed_documents(self, texts, **_):
        self.documents.extend(texts)
        return [vector_of(text, self.dimensions) for text in texts]


async def soon(call):
    """The result of a library's coroutine, or of its blocking function in a thread."""
    return await asyncio.wait_for(asyncio.to_thread(call) if callable(call) else call, CALL)


def wait_for(what, condition, limit=LIMIT):
    """Polls until `condition` gives something true; returns the milliseconds that took."""
    began = time.monotonic()
    while not (seen := condition()):
        if time.monotonic() - began > limit:
            raise SystemExit(f"waited {limit} s in vain for: {what}; saw {seen!r}")
        time.sleep(0.005)
    return round((time.monotonic() - began) * 1000)


def number(graph, cypher):
    """The only cell of a reply."""
    return graph.ro_query(cypher, timeout=CALL * 1000).result_set[0][0]


def vector_indexes(graph):
    """(label, property) to the dimension and the state of each vector index."""
    cypher = "CALL db.indexes() YIELD label, types, options, status RETURN label, types, options, status"
    return {
        (label, name): (options[name]["dimension"], status)
        for label, types, options, status in graph.ro_query(cypher).result_set
        for name, kinds in types.items()
        if "VECTOR" in kinds
    }


def run(workload):
    """Runs `workload(port)` and prints its facts as one line of JSON."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, required=True)
    # Ends the process even while a thread of a library's stands still.
    signal.alarm(3 * LIMIT)
    facts = asyncio.run(workload(arguments.parse_args().port))
    print(json.dumps(facts))
