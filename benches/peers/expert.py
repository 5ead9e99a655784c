"""The job an expert writes: pages of ids, 16 requests in flight, one guarded write a batch."""

import asyncio
import json
import sys
import time

from falkordb.asyncio import FalkorDB
from openai import AsyncOpenAI

WINDOW = 1_000
BATCH = 50
IN_FLIGHT = 16

# Both begin at an id and cost only their window, however much of the graph is finished.
NEXT = "MATCH (n) WHERE ID(n) >= $lo RETURN ID(n) LIMIT 1"
PAGE = """
MATCH (n) WHERE ID(n) >= $lo AND ID(n) < $hi AND n.text IS NOT NULL AND n.embedding IS NULL
RETURN ID(n), n.text
"""
# The id has to be a plain variable, or the engine scans all nodes for each row.
WRITE = """
UNWIND $rows AS row WITH row.id AS id, row.text AS text, row.vector AS vector
MATCH (n) WHERE ID(n) = id AND n.text = text AND n.embedding IS NULL
SET n.embedding = vecf32(vector)
"""


async def batches(graph):
    lo = 0
    while found := (await graph.ro_query(NEXT, {"lo": lo})).result_set:
        lo = found[0][0]
        rows = (await graph.ro_query(PAGE, {"lo": lo, "hi": lo + WINDOW})).result_set
        for first in range(0, len(rows), BATCH):
            yield rows[first : first + BATCH]
        lo += WINDOW


async def fill(graph, service, rows, slots):
    async with slots:
        texts = [text for _, text in rows]
        answer = await service.embeddings.create(model="text-embedding-3-small", input=texts)
        vectors = {item.index: item.embedding for item in answer.data}
        rows = [{"id": id, "text": text, "vector": vectors[at]} for at, (id, text) in enumerate(rows)]
        return (await graph.query(WRITE, {"rows": rows})).properties_set


async def main(port, url):
    graph = FalkorDB(port=int(port)).select_graph("kb")
    service = AsyncOpenAI(base_url=url, api_key="sk-test-key-1234")
    begun, slots, tasks = time.monotonic(), asyncio.Semaphore(IN_FLIGHT), []
    async for rows in batches(graph):
        tasks.append(asyncio.create_task(fill(graph, service, rows, slots)))
    written = int(sum(await asyncio.gather(*tasks)))
    print(json.dumps({"written": written, "seconds": time.monotonic() - begun}))


asyncio.run(main(*sys.argv[1:]))
