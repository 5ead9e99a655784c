"""llama.cpp's own server, from a wheel, with a sentence-transformers model of BERT's kind.

Converts the model's directory into llama.cpp's format, then serves it until standard input ends.
Usage: llama.py MODEL_DIRECTORY PORT THREADS
"""

import json
import sys
import tempfile
from pathlib import Path

import gguf
import xllamacpp
from safetensors.numpy import load_file


def convert(model: Path, to: Path) -> None:
    """What llama.cpp's convert_hf_to_gguf.py does, which needs PyTorch."""
    config = json.loads((model / "config.json").read_text())
    blocks = config["num_hidden_layers"]
    writer = gguf.GGUFWriter(to, "bert")
    writer.add_block_count(blocks)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    add_vocabulary(writer, model, config)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, blocks)
    for name, tensor in load_file(model / "model.safetensors").items():
        if not name.endswith("position_ids") and not name.startswith("pooler."):
            writer.add_tensor(names.get_name(name, (".weight", ".bias")), tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_vocabulary(writer: gguf.GGUFWriter, model: Path, config: dict) -> None:
    words = (model / "vocab.txt").read_text().splitlines()
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}

    def kind(word: str) -> int:
        return gguf.TokenType.CONTROL if word in special else gguf.TokenType.NORMAL

    def marked(word: str) -> str:
        """llama.cpp marks the beginning of a word, and BERT what is none."""
        if word in special:
            return word
        return word[2:] if word.startswith("##") else "\u2581" + word

    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(config["type_vocab_size"])
    writer.add_token_list([marked(word) for word in words])
    writer.add_token_types([kind(word) for word in words])
    writer.add_bos_token_id(words.index("[CLS]"))
    writer.add_eos_token_id(words.index("[SEP]"))
    writer.add_sep_token_id(words.index("[SEP]"))
    writer.add_unk_token_id(words.index("[UNK]"))
    writer.add_pad_token_id(words.index("[PAD]"))
    writer.add_mask_token_id(words.index("[MASK]"))


def main() -> None:
    model, port, threads = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.gguf"
        convert(model, file)
        params = xllamacpp.CommonParams()
        params.model.path = str(file)
        params.embedding = True
        params.hostnames, params.port = ["127.0.0.1"], port
        params.cpuparams.n_threads = threads
        params.n_parallel, params.n_ctx = 8, 8 * 512
        server = xllamacpp.Server(params)
        print(server.listening_address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
