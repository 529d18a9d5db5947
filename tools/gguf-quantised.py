"""Writes the seeded llama of test/suites/gguf-quantised.ts with every matrix quantised by gguf-py, one file per type.

    python -m venv venv && venv/bin/pip install gguf==0.19.0
    venv/bin/python tools/gguf-quantised.py FOLDER

gguf-py quantises Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, F16 and BF16. test/unit/gguf-writers.test.ts holds the TypeScript that writes the same to the
SHA-256 of these files (test/fixtures/gguf-quantised.sha256).
"""
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf_folders import permute

HIDDEN, INTERMEDIATE, VOCABULARY, LAYERS, HEADS, KV_HEADS = 256, 512, 384, 2, 4, 2
TYPES = "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 F16 BF16".split()
KEYS = HIDDEN // HEADS * KV_HEADS
LAYER = {
    "attn_q": (HIDDEN, HIDDEN),
    "attn_k": (KEYS, HIDDEN),
    "attn_v": (KEYS, HIDDEN),
    "attn_output": (HIDDEN, HIDDEN),
    "ffn_gate": (INTERMEDIATE, HIDDEN),
    "ffn_up": (INTERMEDIATE, HIDDEN),
    "ffn_down": (HIDDEN, INTERMEDIATE),
}


def random(seed: int, count: int, first: int = 0) -> np.ndarray:
    """Numbers `first` and on of mulberry32, from 0 to 1."""
    with np.errstate(over="ignore"):
        state = np.uint32(seed) + np.arange(first + 1, first + count + 1, dtype=np.uint32) * np.uint32(0x6D2B79F5)
        mixed = (state ^ (state >> np.uint32(15))) * (state | np.uint32(1))
        mixed ^= mixed + (mixed ^ (mixed >> np.uint32(7))) * (mixed | np.uint32(61))
        return (mixed ^ (mixed >> np.uint32(14))).astype(np.float64) / 2**32


def norms() -> dict[str, np.ndarray]:
    names = ["output_norm", *(f"blk.{i}.{name}" for i in range(LAYERS) for name in ("attn_norm", "ffn_norm"))]
    return {name: (0.8 + 0.4 * random(99, HIDDEN, i * HIDDEN)).astype(np.float32) for i, name in enumerate(names)}


def matrices() -> dict[str, np.ndarray]:
    shapes = {"token_embd": (VOCABULARY, HIDDEN), "output": (VOCABULARY, HIDDEN)}
    shapes |= {f"blk.{i}.{name}": shape for i in range(LAYERS) for name, shape in LAYER.items()}
    return {
        name: ((random(100 + i, rows * width) - 0.5) * 0.2).astype(np.float32).reshape(rows, width)
        for i, (name, (rows, width)) in enumerate(shapes.items())
    }


def convert(target: Path, kind: gguf.GGMLQuantizationType) -> None:
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_type("model")
    writer.add_vocab_size(VOCABULARY)
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INTERMEDIATE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(2**-17)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("none")
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    tensors = norms() | matrices()
    order = ["token_embd", "output_norm", "output"]
    for i in range(LAYERS):
        order += [f"blk.{i}.{name}" for name in ("attn_norm", "ffn_norm", *LAYER)]
    for name in order:
        tensor = tensors[name]
        if name.endswith(("attn_q", "attn_k")):
            tensor = permute(tensor, HEADS if name.endswith("attn_q") else KV_HEADS)
        if tensor.ndim == 1:
            writer.add_tensor(f"{name}.weight", tensor)
        else:
            writer.add_tensor(f"{name}.weight", gguf.quants.quantize(tensor, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    for name in TYPES:
        convert(Path(sys.argv[1]) / f"{name}.gguf", gguf.GGMLQuantizationType[name])
