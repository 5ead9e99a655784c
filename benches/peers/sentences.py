"""The same model in sentence-transformers on the CPU. Texts come as JSON on standard input."""

import json
import sys
import time

import torch
from sentence_transformers import SentenceTransformer

path, threads = sys.argv[1], int(sys.argv[2])
texts = json.load(sys.stdin)
torch.set_num_threads(threads)
model = SentenceTransformer(path, device="cpu")
model.encode(texts[:32])
begun = time.perf_counter()
model.encode(texts, batch_size=32, show_progress_bar=False)
print(json.dumps({"written": len(texts), "seconds": time.perf_counter() - begun}))
