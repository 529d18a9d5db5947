"""How gguf-py names the tensors of transformers' models: test/fixtures/gguf-text/names.json.

    python -m venv venv && venv/bin/pip install gguf==0.19.0
    venv/bin/python tools/gguf-text-names.py test/fixtures/gguf-text/names.json
"""
import json
import sys

from gguf import MODEL_ARCH, get_tensor_name_map

weights = "input_layernorm post_attention_layernorm self_attn.o_proj mlp.down_proj".split()
split = "self_attn.q_proj self_attn.k_proj self_attn.v_proj mlp.gate_proj mlp.up_proj".split()
around = "pre_feedforward_layernorm post_feedforward_layernorm".split()
norms = "self_attn.q_norm self_attn.k_norm".split()
families = {
    "llama": split,
    "qwen2": split,
    "qwen3": split + norms,
    "gemma2": split + around,
    "gemma3": split + around + norms,
    "phi3": ["self_attn.qkv_proj", "mlp.gate_up_proj"],
}
names = {}
for family, more in families.items():
    table = get_tensor_name_map(MODEL_ARCH[family.upper()], 8)
    modules = ["model.embed_tokens", "model.norm", "lm_head", *(f"model.layers.7.{name}" for name in weights + more)]
    names[family] = {module: name for module in modules if (name := table.get_name(module))}
with open(sys.argv[1], "w", encoding="utf-8") as out:
    json.dump(names, out, indent=1)
    out.write("\n")
