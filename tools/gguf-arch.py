"""Writes a transformers folder as the F32 GGUF file that llama.cpp's convert_hf_to_gguf.py makes of it, without a tokenizer.

    python -m venv venv && venv/bin/pip install gguf==0.19.0
    venv/bin/python tools/gguf-arch.py ../shared/references/arch/gemma3/base gemma3.gguf

Names of keys and tensors are gguf-py's. test/suites/gguf-model-writer.ts writes the same bytes where no Python is; test/unit/gguf-writers.test.ts holds it to
the SHA-256 of this recipe's files (test/fixtures/gguf-recipes.sha256, named FAMILY.gguf and FAMILY.ADAPTER.gguf).

Two things are said that the converter leaves out, since the file would be another model without them: Mistral's window, and the number of
layers in a group of Gemma 3's windows, where llama.cpp knows only its own 6.
"""
import math
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf_folders import permute, read_json, read_tensors

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma2": gguf.MODEL_ARCH.GEMMA2,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
    "phi3": gguf.MODEL_ARCH.PHI3,
}


def rope_of(config: dict) -> dict:
    """rope_parameters of the layers that see all, also of a config from before transformers 5."""
    rope = config.get("rope_parameters") or {"rope_theta": config.get("rope_theta", 10000.0), **(config.get("rope_scaling") or {})}
    return rope.get("full_attention", rope)


def add_rope(writer: gguf.GGUFWriter, config: dict, head_dim: int) -> None:
    arch, rope = writer.arch, rope_of(config)
    kind = rope.get("rope_type", rope.get("type", "default"))
    if arch != "gemma2":
        writer.add_rope_freq_base(rope["rope_theta"])
    if arch in ("llama", "phi3"):
        partial = config.get("partial_rotary_factor", rope.get("partial_rotary_factor", 1.0))
        writer.add_rope_dimension_count(int(partial * head_dim))
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if arch == "phi3":
        original = config["original_max_position_embeddings"]
        writer.add_rope_scaling_orig_ctx_len(original)
        if kind in ("longrope", "su"):
            scale = config["max_position_embeddings"] / original
            writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)) if scale > 1.0 else 1.0)


def add_family(writer: gguf.GGUFWriter, config: dict) -> None:
    window = config.get("sliding_window")
    if writer.arch == "phi3":
        writer.add_sliding_window(window or 0)  # 0 tells Phi-4 from Phi-3
    elif config["model_type"] == "mistral" and window is not None:
        writer.add_sliding_window(window)
    if writer.arch not in ("gemma2", "gemma3"):
        return
    if config.get("attn_logit_softcapping"):
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
    if config.get("final_logit_softcapping"):
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    writer.add_sliding_window(window)
    if writer.arch == "gemma3":
        kinds = config.get("layer_types")
        pattern = kinds.index("full_attention") + 1 if kinds else config["sliding_window_pattern"]
        writer.add_sliding_window_pattern(pattern)


def add_metadata(writer: gguf.GGUFWriter, config: dict, head_dim: int) -> None:
    heads = config["num_attention_heads"]
    writer.add_type("model")
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads", heads))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if config.get("head_dim") is not None:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    add_rope(writer, config, head_dim)
    add_family(writer, config)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("none")
    for name, add in (("bos", writer.add_bos_token_id), ("eos", writer.add_eos_token_id), ("pad", writer.add_pad_token_id)):
        if isinstance(config.get(f"{name}_token_id"), int):
            add(config[f"{name}_token_id"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def rope_factors(config: dict, head_dim: int) -> dict[str, np.ndarray]:
    """Factors that llama.cpp takes from tensors: Llama 3's computed from its settings, Phi's as they stand in the config."""
    rope = rope_of(config)
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind in ("longrope", "su"):
        named = {"rope_factors_long": rope["long_factor"], "rope_factors_short": rope["short_factor"]}
        return {f"{name}.weight": np.array(factors, np.float32) for name, factors in named.items()}
    if kind != "llama3":
        return {}
    original, factor = rope["original_max_position_embeddings"], rope["factor"]
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    factors = []
    for pair in range(head_dim // 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (2 * pair / head_dim)
        if wavelength < original / high:
            factors.append(1.0)
        elif wavelength > original / low:
            factors.append(factor)
        else:
            smooth = (original / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return {"rope_freqs.weight": np.array(factors, np.float32)}


ORDER = """embed_tokens model.norm lm_head input_layernorm post_attention_layernorm pre_feedforward_layernorm post_feedforward_layernorm
q_norm k_norm q_proj.weight k_proj.weight v_proj.weight qkv_proj o_proj.weight gate_proj.weight up_proj.weight gate_up_proj down_proj.weight
q_proj.bias k_proj.bias v_proj.bias o_proj.bias gate_proj.bias up_proj.bias down_proj.bias""".split()


def place(name: str) -> tuple[int, int]:
    layer = int(name.split(".")[2]) if name.startswith("model.layers.") else -1
    return layer, next(i for i, part in enumerate(ORDER) if part in name)


def convert(folder: Path, target: Path) -> None:
    config = read_json(folder / "config.json")
    arch = ARCHITECTURES[config["model_type"]]
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    writer = gguf.GGUFWriter(target, gguf.MODEL_ARCH_NAMES[arch])
    add_metadata(writer, config, head_dim)
    for name, factors in rope_factors(config, head_dim).items():
        writer.add_tensor(name, factors)
    names = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
    tied = config.get("tie_word_embeddings", writer.arch.startswith("gemma"))
    tensors = read_tensors(folder, "model")
    for name in sorted(tensors, key=place):
        if name == "lm_head.weight" and tied:
            continue
        tensor = tensors[name]
        if writer.arch == "llama" and ".q_proj." in name:
            tensor = permute(tensor, heads)
        if writer.arch == "llama" and ".k_proj." in name:
            tensor = permute(tensor, config.get("num_key_value_heads", heads))
        if writer.arch.startswith("gemma") and name.endswith("norm.weight"):
            tensor = tensor + np.float32(1)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
