"""Whether the client library of the engine reads a reply of VECTORFILL.QUERY as it reads one of
GRAPH.RO_QUERY: nodes, edges, paths and all else. Arguments: a port, and the vector of `fruit`."""

import json
import sys

from falkordb import Edge, FalkorDB, Node, Path
from falkordb.query_result import QueryResult

GRAPH, TEXT = "kb", "fruit"
NEAREST = "CALL db.idx.vector.queryNodes('Doc', 'embedding', 2, vecf32($vector)) YIELD node, score "
QUERIES = {
    NEAREST + "RETURN node, score": {Node, float},
    NEAREST + "MATCH (node)-[edge:GROWS]->(on) RETURN node.text, edge, on": {str, Edge, Node},
    NEAREST + "MATCH path = (node)-[*1..2]->() RETURN path ORDER BY length(path), ID(node)": {Path},
    "WITH vecf32($vector) AS v RETURN v, null, true, 7, 1.5, 'a\\nb', [1, 'x'], {a: [2.5]}, "
    "point({latitude: 1, longitude: 2})": {list, type(None), bool, int, float, str, dict},
    "MATCH (n:Nothing) RETURN n": set(),
}


def create(graph, client):
    graph.query(
        "CREATE (:Doc:Fruit {text: 'apple', sweet: true, weight: 0.2})"
        "-[:GROWS {in: 'May', years: [1, 2]}]->(tree:Plant {name: 'tree'})"
        "-[:STANDS {since: 1970}]->(:Place {name: 'garden'}), (:Doc {text: 'stone'}), "
        "(:Doc {text: 'pear'})-[:GROWS]->(tree)"
    )
    client.execute_command("VECTORFILL.RUN", GRAPH, "WAIT", "60000")


def plain(value):
    """All there is in a value: an edge equals another in the library's eyes if their ids do."""
    if isinstance(value, Node):
        return Node, value.id, value.labels, plain(value.properties)
    if isinstance(value, Edge):
        return Edge, value.id, value.relation, value.src_node, value.dest_node, plain(value.properties)
    if isinstance(value, Path):
        return Path, [plain(node) for node in value.nodes()], [plain(edge) for edge in value.edges()]
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return type(value), value


def check(port, protocol, vector):
    for cypher, kinds in QUERIES.items():
        # Each reader has a client of its own, which does not know the names of labels yet.
        theirs, ours = (FalkorDB(port=port, protocol=protocol) for _ in range(2))
        wanted = theirs.select_graph(GRAPH).ro_query(cypher, params={"vector": vector})
        words = ("VECTORFILL.QUERY", GRAPH, cypher, "TEXT", TEXT, "--compact")
        found = QueryResult(ours.select_graph(GRAPH), ours.connection.execute_command(*words))
        assert plain(found.result_set) == plain(wanted.result_set), (cypher, found.result_set, wanted.result_set)
        assert found.header == wanted.header, (cypher, found.header, wanted.header)
        assert found.run_time_ms > 0
        read = {type(cell) for row in found.result_set for cell in row}
        assert kinds <= read, (cypher, read)
    nodes = [row[0] for row in ours.select_graph(GRAPH).query("MATCH (n:Fruit) RETURN n").result_set]
    assert nodes[0].labels == ["Doc", "Fruit"], nodes


def main():
    port, vector = int(sys.argv[1]), json.loads(sys.argv[2])
    db = FalkorDB(port=port)
    create(db.select_graph(GRAPH), db.connection)
    for protocol in (2, 3):
        check(port, protocol, vector)


main()
