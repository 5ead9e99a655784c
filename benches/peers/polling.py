"""The plain polling job: fifty nodes, one request, one write a node, and again from the beginning."""

import json
import sys
import time

from falkordb import FalkorDB
from openai import OpenAI

PENDING = """
MATCH (n) WHERE n.text IS NOT NULL AND n.embedding IS NULL
RETURN n.id, n.text, labels(n)[0] LIMIT 50
"""


def main(port, url, seconds):
    graph = FalkorDB(port=int(port)).select_graph("kb")
    service = OpenAI(base_url=url, api_key="sk-test-key-1234")
    begun, written = time.monotonic(), 0
    while time.monotonic() - begun < float(seconds):
        rows = graph.query(PENDING).result_set
        if not rows:
            break
        texts = [text for _, text, _ in rows]
        answer = service.embeddings.create(model="text-embedding-3-small", input=texts)
        for item in answer.data:
            node, vector = rows[item.index][0], item.embedding
            graph.query(f"MATCH (n) WHERE n.id = {node} SET n.embedding = vecf32({vector})")
            written += 1
    print(json.dumps({"written": written, "seconds": time.monotonic() - begun}))


main(*sys.argv[1:])
