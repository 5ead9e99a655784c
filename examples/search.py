"""Creates two nodes, waits for their vectors, and finds one of them by a question.

    pip install falkordb
    python examples/search.py [host [port]]
"""

import sys

from falkordb import FalkorDB, QueryResult
from redis import RedisError

GRAPH = "kb"
QUESTION = "When does the boat go?"
CREATE = """
MERGE (:Doc {text: 'The ferry leaves at seven'})-[:ABOUT]->(:Place {name: 'harbour'})
MERGE (:Doc {text: 'The bakery opens at six'})
"""
NEAREST = """
CALL db.idx.vector.queryNodes('Doc', 'embedding', 1, vecf32($vector)) YIELD node, score
OPTIONAL MATCH (node)-[:ABOUT]->(place)
RETURN node, score, place.name
"""

# The server's limits, in milliseconds.
WRITE_MS = 5_000
FILL_MS = 30_000
QUERY_MS = 10_000
# The client's own limits, in seconds. Longer than any of the server's, so that its answer arrives;
# SEARCH takes no limit, and ends by this one.
CONNECT_S = 5
REPLY_S = 40


def create(graph):
    graph.query(CREATE, timeout=WRITE_MS)


def fill(connection):
    """A write starts a pass by itself; RUN WAIT returns once it is done."""
    tally = connection.execute_command("VECTORFILL.RUN", GRAPH, "WAIT", FILL_MS)
    # A map in RESP3, a list of names and values in RESP2.
    tally = tally if isinstance(tally, dict) else dict(zip(tally[::2], tally[1::2]))
    if tally["error"]:
        sys.exit(f"the pass left {tally['deferred']} nodes without a vector: {tally['error']}")
    print(f"vectors written: {tally['written']}")


def search(connection):
    """The nearest nodes of a label, as [id, score, text]."""
    for node, score, text in connection.execute_command("VECTORFILL.SEARCH", GRAPH, "Doc", 2, QUESTION):
        print(f"SEARCH: node {node}, distance {float(score):.3f}: {text}")


def query(connection, graph):
    """Any read-only Cypher, with the question's vector as $vector and nodes as objects."""
    words = ("VECTORFILL.QUERY", GRAPH, NEAREST, "TEXT", QUESTION, "TIMEOUT", QUERY_MS, "--compact")
    result = QueryResult(graph, connection.execute_command(*words))
    for node, score, place in result.result_set:
        print(f"QUERY: {node.properties['text']} (distance {score:.3f}, about the {place})")


def main():
    host = sys.argv[1] if len(sys.argv) > 1 else "localhost"
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 6379
    try:
        db = FalkorDB(host=host, port=port, socket_connect_timeout=CONNECT_S, socket_timeout=REPLY_S)
        graph = db.select_graph(GRAPH)
        create(graph)
        fill(db.connection)
        search(db.connection)
        query(db.connection, graph)
    except RedisError as error:
        # A server that was restarted with its data fills nothing for its first seconds, and says so.
        sys.exit(f"{type(error).__name__}: {error}")


main()
