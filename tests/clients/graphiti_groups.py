"""graphiti without an embedder: three groups, each a graph of its own, are saved without vectors,
and graphiti's own searches find each entity, fact and community once the module has filled them.

Rules wanted, for the graphs `group-*` only:
    NODE Entity NODE Community TEXT name INTO name_embedding DIMENSIONS 1024 INDEX no
    REL RELATES_TO TEXT fact INTO fact_embedding DIMENSIONS 1024 INDEX no
"""

from datetime import datetime, timezone

import shared

from falkordb import FalkorDB
from graphiti_core.driver.falkordb_driver import FalkorDriver
from graphiti_core.edges import EntityEdge
from graphiti_core.nodes import CommunityNode, EntityNode
from graphiti_core.search.search_filters import SearchFilters
from graphiti_core.search.search_utils import (
    community_similarity_search,
    edge_similarity_search,
    node_similarity_search,
)

DIMENSIONS = 1024
GROUPS = ["group-red", "group-green", "group-blue"]
# No rule is for this graph: what graphiti does to a vector can be seen here.
UNRULED = "unruled"
PEOPLE = 12
REFILLED_WITHIN_MS = 1000
NOW = datetime.now(timezone.utc)

MISSING = {
    "entities": "MATCH (n:Entity) WHERE n.name_embedding IS NULL RETURN count(n)",
    "communities": "MATCH (n:Community) WHERE n.name_embedding IS NULL RETURN count(n)",
    "facts": "MATCH ()-[e:RELATES_TO]->() WHERE e.fact_embedding IS NULL RETURN count(e)",
}


def person(group, i):
    # Some with a label of their own, some with a name that holds what Cypher has to escape.
    labels, name = (["Person"], f"Zoë \"{i}\" O'Neil") if i % 3 == 0 else ([], f"Person {i}")
    return EntityNode(
        name=f"{name} of {group}",
        group_id=group,
        labels=labels,
        created_at=NOW,
        summary=f"The {i}th of {group}",
        attributes={"age": 20 + i},
    )


def fact(one, other):
    return EntityEdge(
        source_node_uuid=one.uuid,
        target_node_uuid=other.uuid,
        group_id=one.group_id,
        name="KNOWS",
        fact=f"{one.name} knows {other.name}",
        episodes=["an-episode"],
        created_at=NOW,
    )


async def save(driver, group):
    people = [person(group, i) for i in range(PEOPLE)]
    # A ring, a pair of entities with two facts, and a loop.
    ring = zip(people, people[1:] + people[:1])
    pairs = [*ring, (people[0], people[1]), (people[2], people[2])]
    facts = [fact(*pair) for pair in pairs]
    facts[PEOPLE].fact += " well"
    everybody = f"All of {group}"
    community = CommunityNode(name=everybody, group_id=group, created_at=NOW, summary="they all")
    for each in [*people, *facts, community]:
        await shared.soon(each.save(driver))
    return people, facts, community


def texts_of(people, facts, community):
    return [*(each.name for each in people), *(each.fact for each in facts), community.name]


async def find(driver, group, people, facts, community):
    """Each must come first of all that graphiti finds for its text."""
    for each in people:
        vector = shared.vector_of(each.name, DIMENSIONS)
        found = await shared.soon(node_similarity_search(driver, vector, SearchFilters(), [group]))
        assert found and found[0].uuid == each.uuid, (each.name, [n.name for n in found])
    for each in facts:
        vector = shared.vector_of(each.fact, DIMENSIONS)
        search = edge_similarity_search(driver, vector, None, None, SearchFilters(), [group])
        found = await shared.soon(search)
        assert found and found[0].uuid == each.uuid, (each.fact, [e.fact for e in found])
    vector = shared.vector_of(community.name, DIMENSIONS)
    found = await shared.soon(community_similarity_search(driver, vector, [group]))
    assert [c.uuid for c in found] == [community.uuid], found


def has_vector(db, group, uuid, text):
    """Whether the entity or fact has the vector of this very text."""
    cypher = (
        "OPTIONAL MATCH (n:Entity {uuid: $uuid}) OPTIONAL MATCH ()-[e:RELATES_TO {uuid: $uuid}]->() "
        "RETURN coalesce(n.name_embedding, e.fact_embedding)"
    )
    vector = db.select_graph(group).ro_query(cypher, {"uuid": uuid}).result_set[0][0] or []
    wanted = shared.vector_of(text, DIMENSIONS)
    return len(vector) == DIMENSIONS and all(abs(a - b) < 2e-6 for a, b in zip(vector, wanted))


async def wiped(driver, db):
    """Whether graphiti wipes the vectors when it saves what it has read, as it has always done."""
    people, facts, _ = await save(driver, UNRULED)
    people[0].name_embedding = shared.vector_of(people[0].name, DIMENSIONS)
    facts[0].fact_embedding = shared.vector_of(facts[0].fact, DIMENSIONS)
    pairs = ((EntityNode, people[0], people[0].name), (EntityEdge, facts[0], facts[0].fact))
    for kind, each, text in pairs:
        await shared.soon(each.save(driver))
        assert has_vector(db, UNRULED, each.uuid, text)
        read = await shared.soon(kind.get_by_uuid(driver, each.uuid))
        await shared.soon(read.save(driver))
        if has_vector(db, UNRULED, each.uuid, text):
            return False
    return True


async def refill(driver, db, people, facts):
    """Saves what was read, as it was and then with another text. Returns the milliseconds until the
    vectors were back, and the texts."""
    took, texts = [], []
    for kind, each, text_of in ((EntityNode, people[3], "name"), (EntityEdge, facts[3], "fact")):
        for addition in ("", ", it is said"):
            read = await shared.soon(kind.get_by_uuid(driver, each.uuid))
            text = getattr(read, text_of) + addition
            setattr(read, text_of, text)
            await shared.soon(read.save(driver))
            back = lambda: has_vector(db, each.group_id, each.uuid, text)
            took.append(shared.wait_for(f"the vector of {text}", back))
            texts.append(text)
    assert max(took) < REFILLED_WITHIN_MS, took
    return took, texts


async def workload(port):
    db = FalkorDB(host="127.0.0.1", port=port, socket_timeout=shared.CALL)
    base = FalkorDriver(host="127.0.0.1", port=port, database=UNRULED)
    drivers = {group: base.clone(group) for group in GROUPS}
    for driver in [base, *drivers.values()]:
        await shared.soon(driver._init_task)

    graphs = {group: db.select_graph(group) for group in GROUPS}
    saved = {group: await save(driver, group) for group, driver in drivers.items()}
    filled = [
        shared.wait_for(f"{what} of {group}", lambda: shared.number(graph, cypher) == 0)
        for group, graph in graphs.items()
        for what, cypher in MISSING.items()
    ]
    for group, driver in drivers.items():
        await find(driver, group, *saved[group])
    assert await wiped(base, db), "graphiti keeps vectors now: the refill below proves nothing"
    people, facts, _ = saved[GROUPS[0]]
    refilled, renamed = await refill(drivers[GROUPS[0]], db, people, facts)

    indexes = [shared.vector_indexes(graph) for graph in graphs.values()]
    assert not any(indexes), indexes
    untouched = shared.number(db.select_graph(UNRULED), MISSING["entities"])
    assert untouched == PEOPLE, untouched
    await shared.soon(base.close())
    texts = {text for content in saved.values() for text in texts_of(*content)}
    return {
        "workload": "graphiti",
        "filled_ms": sum(filled),
        "refilled_ms": refilled,
        "texts": sorted(texts | set(renamed)),
    }


shared.run(workload)
