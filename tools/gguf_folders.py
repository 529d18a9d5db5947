"""Reads what transformers and PEFT write, for the recipes beside this file: JSON and safetensors as float32."""
import json
import struct
from pathlib import Path

import numpy as np


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def floats(data: bytes, dtype: str) -> np.ndarray:
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, {"F32": "<f4", "F16": "<f2"}[dtype]).astype(np.float32)


def read_tensors(folder: Path, stem: str) -> dict[str, np.ndarray]:
    """All tensors of STEM.safetensors or of its shards."""
    tensors = {}
    for path in sorted(folder.glob(f"{stem}*.safetensors")):
        data = path.read_bytes()
        start = 8 + struct.unpack("<Q", data[:8])[0]
        for name, info in json.loads(data[8:start]).items():
            if name != "__metadata__":
                first, end = info["data_offsets"]
                tensors[name] = floats(data[start + first : start + end], info["dtype"]).reshape(info["shape"])
    return tensors


def permute(weight: np.ndarray, heads: int) -> np.ndarray:
    """What llama.cpp's converter does to rows of q and k: the two halves of each head are interleaved."""
    shape = (heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return np.ascontiguousarray(weight.reshape(shape).swapaxes(1, 2).reshape(weight.shape))
