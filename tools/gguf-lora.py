"""Writes a PEFT adapter as the F32 GGUF LoRA that llama.cpp's convert_lora_to_gguf.py makes of it.

    python -m venv venv && venv/bin/pip install gguf==0.19.0
    venv/bin/python tools/gguf-lora.py ../shared/references/arch/llama/base ../shared/references/arch/llama/adapters/r8-all r8-all.gguf

The base's folder is asked for its config.json alone. test/suites/gguf-adapter-writer.ts writes the same bytes where no Python is.
"""
import sys
from pathlib import Path

import gguf
from gguf_folders import permute, read_json, read_tensors

ORDER = "q_proj k_proj v_proj qkv_proj o_proj gate_proj .up_proj gate_up_proj down_proj".split()
FAMILIES = {"mistral": "llama", "gemma3_text": "gemma3"}


def place(name: str) -> tuple[int, int, bool]:
    layer = int(name.split(".layers.")[1].split(".")[0])
    return layer, next(i for i, part in enumerate(ORDER) if part in name), "lora_B" in name


def convert(base: Path, folder: Path, target: Path) -> None:
    model, config = read_json(base / "config.json"), read_json(folder / "adapter_config.json")
    for key in ("use_rslora", "use_dora", "rank_pattern", "alpha_pattern", "modules_to_save"):
        if config.get(key):
            raise SystemExit(f"{folder}: a GGUF LoRA cannot say {key} = {config[key]}")
    name = FAMILIES.get(model["model_type"], model["model_type"])
    arch = next(arch for arch, text in gguf.MODEL_ARCH_NAMES.items() if text == name)
    heads = model["num_attention_heads"]
    writer = gguf.GGUFWriter(target, name)
    writer.add_type("adapter")
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(config["lora_alpha"]))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    names = gguf.get_tensor_name_map(arch, model["num_hidden_layers"])
    tensors = read_tensors(folder, "adapter_model")
    for key in sorted(tensors, key=place):
        module, matrix = key.removeprefix("base_model.model.").removesuffix(".weight").rsplit(".", 1)
        tensor = tensors[key]
        if name == "llama" and matrix == "lora_B" and module.endswith(("q_proj", "k_proj")):
            tensor = permute(tensor, heads if module.endswith("q_proj") else model.get("num_key_value_heads", heads))
        writer.add_tensor(f"{names.get_name(module)}.weight.{matrix.lower()}", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    convert(*map(Path, sys.argv[1:4]))
