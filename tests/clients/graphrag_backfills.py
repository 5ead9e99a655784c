"""GraphRAG-SDK whose indexes, of 256 numbers, stand before anything is written: the module fills its
chunks, entities and relationships, so that its own backfills find nothing left to embed.

Rules wanted:
    NODE Chunk TEXT text INTO embedding DIMENSIONS AUTO
    NODE __Entity__ TEXT name INTO embedding DIMENSIONS AUTO
    REL RELATES TEXT fact INTO embedding DIMENSIONS AUTO
"""

import shared

from falkordb import FalkorDB
from graphrag_sdk import ConnectionConfig, Embedder, FalkorDBConnection, GraphRAG, LLMInterface
from graphrag_sdk.core.models import GraphNode, GraphRelationship
from graphrag_sdk.storage.graph_store import GraphStore
from graphrag_sdk.storage.vector_store import VectorStore

GRAPH = "library"
DIMENSIONS = 256
CHUNKS, ENTITIES = 30, 300
INDEXES = dict.fromkeys(
    [("Chunk", "embedding"), ("__Entity__", "embedding"), ("RELATES", "embedding")],
    (DIMENSIONS, "OPERATIONAL"),
)
# As many are asked for as an index gives reliably; the SDK puts the most distant one first.
TOP = 3

MISSING = {
    "chunks": "MATCH (n:Chunk) WHERE n.embedding IS NULL RETURN count(n)",
    "entities": "MATCH (n:__Entity__) WHERE n.embedding IS NULL RETURN count(n)",
    "relationships": "MATCH ()-[r:RELATES]->() WHERE r.embedding IS NULL RETURN count(r)",
}


class CountingEmbedder(shared.Counting, Embedder):
    @property
    def model_name(self):
        return "m"


class NoModel(LLMInterface):
    def invoke(self, prompt, **_):
        raise AssertionError("nothing here needs a language model")


def entity(i):
    kind = ("Person", "Place", "Thing")[i % 3]
    properties = {"name": f"{kind} {i}", "description": f"what is known of {i}"}
    return GraphNode(id=f"{kind.lower()}-{i}", label=kind, properties=properties)


def relates(one, other):
    names = one.properties["name"], other.properties["name"]
    properties = {
        "rel_type": "KNOWS",
        "fact": f"({names[0]}, KNOWS, {names[1]}): since it was written",
        "src_name": names[0],
        "tgt_name": names[1],
        "source_chunk_ids": ["chunk-0"],
    }
    return GraphRelationship(
        start_node_id=one.id, end_node_id=other.id, type="RELATES", properties=properties
    )


def content():
    texts = [f"Part {i}:\nwhat it says" for i in range(CHUNKS)]
    chunks = [
        GraphNode(id=f"chunk-{i}", label="Chunk", properties={"text": text, "index": i})
        for i, text in enumerate(texts)
    ]
    entities = [entity(i) for i in range(ENTITIES)]
    hub, others = entities[0], entities[1:]
    # All point to the hub, and it to every tenth; a chain beside it.
    facts = [relates(each, hub) for each in others] + [relates(hub, each) for each in others[::10]]
    facts += [relates(*pair) for pair in zip(others[:100], others[1:])]
    return chunks, entities, facts


async def find(store, chunks, entities, facts):
    searches = [
        (store.search_chunks, "id", [(each.id, each.properties["text"]) for each in chunks]),
        (store.search_entities, "id", [(each.id, each.properties["name"]) for each in entities]),
        (store.search_relationships, "fact", [(each.properties["fact"],) * 2 for each in facts]),
    ]
    for search, key, wanted in searches:
        # All of the chunks, and some tens of the others.
        for each, text in wanted[:: len(wanted) // CHUNKS]:
            found = await shared.soon(search(shared.vector_of(text, DIMENSIONS), top_k=TOP))
            assert len(found) == TOP, (text, found)
            nearest = min(found, key=lambda hit: hit["score"])
            assert nearest[key] == each and abs(nearest["score"]) < 1e-4, (text, found)


async def workload(port):
    graph = FalkorDB(host="127.0.0.1", port=port, socket_timeout=shared.CALL).select_graph(GRAPH)
    connection = FalkorDBConnection(ConnectionConfig(host="127.0.0.1", port=port, graph_name=GRAPH))
    embedder = CountingEmbedder(DIMENSIONS)
    store = VectorStore(connection, embedder=embedder, embedding_dimension=DIMENSIONS)
    made = await shared.soon(store.ensure_indices())
    assert made and all(made.values()), made

    chunks, entities, facts = content()
    writer = GraphStore(connection)
    assert await shared.soon(writer.upsert_nodes(chunks + entities)) == CHUNKS + ENTITIES
    assert await shared.soon(writer.upsert_relationships(facts)) == len(facts)
    filled = [
        shared.wait_for(f"vectors of {what}", lambda: shared.number(graph, cypher) == 0)
        for what, cypher in MISSING.items()
    ]

    backfilled = [
        await shared.soon(store.backfill_entity_embeddings()),
        await shared.soon(store.embed_relationships()),
    ]
    rag = GraphRAG(connection, NoModel("none"), embedder, embedding_dimension=DIMENSIONS)
    final = await shared.soon(rag.finalize())
    backfilled += [final.entities_embedded, final.relationships_embedded]
    assert backfilled == [0] * 4 and not embedder.documents, (backfilled, embedder.documents)
    assert not embedder.queries, embedder.queries
    assert all(final.indexes.values()), final

    await find(store, chunks, entities, facts)
    indexes = shared.vector_indexes(graph)
    assert indexes == INDEXES, indexes
    await shared.soon(connection.close())
    carriers = ((chunks, "text"), (entities, "name"), (facts, "fact"))
    texts = [each.properties[key] for group, key in carriers for each in group]
    return {
        "workload": "graphrag",
        "filled_ms": sum(filled),
        "backfilled": sum(backfilled),
        "texts": sorted(texts),
    }


shared.run(workload)
