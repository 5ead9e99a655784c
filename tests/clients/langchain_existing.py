"""LangChain on an existing graph: the module composes the texts, byte for byte, that LangChain's
`from_existing_graph` would send to its embedder, which then finds nothing left to embed.

Rule wanted, for the graph `catalogue` only:
    NODE Book TEXT "\\ntitle: {title}\\ncontent: {content}" INTO embedding
"""

import shared

from falkordb import FalkorDB
from langchain_core.embeddings import Embeddings
from langchain_falkordb import FalkorDBVector

GRAPH = "catalogue"
# No rule is for this graph: LangChain embeds its nodes itself.
COPY = "copy"
DIMENSIONS = 384
TEXTS = ["title", "content"]
INDEX = {("Book", "embedding"): (DIMENSIONS, "OPERATIONAL")}
MISSING = (
    "MATCH (n:Book) WHERE n.embedding IS NULL AND (n.title IS NOT NULL OR n.content IS NOT NULL) "
    "RETURN count(n)"
)
LISTS = "MATCH (n:Book) WHERE typeOf(n.embedding) = 'List' RETURN count(n)"


class CountingEmbeddings(shared.Counting, Embeddings):
    pass


def text_of(node):
    """For nodes whose properties are strings; for others the engine decides how they are written."""
    return "".join(f"\n{name}: {node.get(name, '')}" for name in TEXTS)


def books():
    """By what they have: both texts, one of them, numbers, a plain list for a vector, neither."""
    both = [{"title": f"Title {i}", "content": f"What book {i} tells"} for i in range(40)]
    titles = [{"title": f"Only a title {i}"} for i in range(5)]
    contents = [{"content": f"Only a content {i}"} for i in range(5)]
    odd = [
        {"title": "Žluťoučký kůň 🐎", "content": "line\nline\ttab\r\n"},
        {"title": "{title} [content] {{}}", "content": "'single' \"double\" \\ back\\nslash"},
        {"title": " spaces ", "content": ""},
    ]
    # The engine writes fractions with six decimals, whatever their size.
    numbers = [7, -1234567890123, 2.5, 0.1, 1e20]
    numbers = [{"title": "a number", "content": number} for number in numbers]
    listed = [{"title": f"Listed {i}", "content": "has a plain list"} for i in range(5)]
    for each in listed:
        each["embedding"] = shared.vector_of(text_of(each), DIMENSIONS)
    return both, titles, contents, odd, numbers, listed, [{"shelf": 1}]


def existing(port, name, embeddings):
    return FalkorDBVector.from_existing_graph(
        embedding=embeddings,
        host="127.0.0.1",
        port=port,
        database=name,
        node_label="Book",
        embedding_node_property="embedding",
        text_node_properties=TEXTS,
    )


def write(graph, nodes):
    graph.query("UNWIND $nodes AS node CREATE (n:Book) SET n = node", {"nodes": nodes})


async def find(store, texts):
    for text in texts:
        [(document, score)] = await shared.soon(lambda: store.similarity_search_with_score(text, k=1))
        assert document.page_content == text and abs(score) < 1e-4, (text, document, score)


async def workload(port):
    db = FalkorDB(host="127.0.0.1", port=port, socket_timeout=shared.CALL)
    *texted, listed, bare = books()
    texted = [node for kind in texted for node in kind]

    # What LangChain itself sends for these nodes. It leaves plain lists alone, and never finds them.
    write(db.select_graph(COPY), texted + listed + bare)
    theirs = CountingEmbeddings(DIMENSIONS)
    await shared.soon(lambda: existing(port, COPY, theirs))
    assert len(theirs.documents) == len(texted), theirs.documents
    assert shared.number(db.select_graph(COPY), LISTS) == len(listed)

    graph = db.select_graph(GRAPH)
    write(graph, texted + listed + bare)
    filled = [
        shared.wait_for("vectors of books", lambda: shared.number(graph, MISSING) == 0),
        shared.wait_for("lists turned into vectors", lambda: shared.number(graph, LISTS) == 0),
        # LangChain fails where an index comes into being between its look and its own attempt.
        shared.wait_for("the index", lambda: shared.vector_indexes(graph) == INDEX),
    ]
    ours = CountingEmbeddings(DIMENSIONS)
    store = await shared.soon(lambda: existing(port, GRAPH, ours))
    assert not ours.documents, ours.documents

    await find(store, theirs.documents + [text_of(node) for node in listed])
    left = shared.number(graph, "MATCH (n:Book) WHERE n.embedding IS NULL RETURN count(n)")
    assert left == len(bare), left
    return {
        "workload": "langchain",
        "filled_ms": sum(filled),
        "backfilled": len(ours.documents),
        "texts": sorted(theirs.documents),
    }


shared.run(workload)
