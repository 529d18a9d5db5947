"""Makes test/fixtures/gguf/ with the gguf package's own writer and its `dequantize`.

    python -m venv /tmp/gguf && /tmp/gguf/bin/pip install gguf==0.19.0 numpy==2.4.6
    /tmp/gguf/bin/python tools/gguf-fixtures.py test/fixtures/gguf

blocks.gguf: for every type that is served, seeded blocks and, as F32, what `dequantize` makes of them; the scales among them are subnormal,
negative, 0, -0 and the largest of f16. Metadata of every kind that the writer can write.
parts-0000K-of-00003.gguf: a model split by the writer, of which the first part has the metadata.
"""

import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

# Where the f16 scales of a block are, in bytes.
SCALES = {
    Type.Q4_0: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q5_1: [0, 2],
    Type.Q8_0: [0],
    Type.Q2_K: [80, 82],
    Type.Q3_K: [108],
    Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
    Type.IQ4_NL: [0],
    Type.IQ4_XS: [0],
}
# 0, -0, the smallest and largest subnormals, the smallest normal, the largest numbers, 1, -1
SPECIAL = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x3C00, 0xBC00]


def seeded_blocks(kind, rows, per_row, random):
    """Random bytes; scales finite, a third of them special, the rest of the size that scales have."""
    size = GGML_QUANT_SIZES[kind][1]
    blocks = random.integers(0, 256, (rows * per_row, size), dtype=np.uint8)
    for at in SCALES[kind]:
        usual = (random.standard_normal(len(blocks)) * 2.0 ** random.integers(-20, 3, len(blocks))).astype(np.float16).view(np.uint16)
        special = random.choice(np.array(SPECIAL, dtype=np.uint16), len(blocks))
        scale = np.where(random.random(len(blocks)) < 1 / 3, special, usual)
        blocks[:, at : at + 2] = scale.astype("<u2").view(np.uint8).reshape(-1, 2)
    return blocks.reshape(rows, per_row * size)


def float_rows(kind, random):
    bits = random.integers(0, 2**32, 64, dtype=np.uint32)
    bits = np.where((bits & 0x7F800000) == 0x7F800000, bits & 0xBFFFFFFF, bits)
    if kind == Type.F32:
        return bits.view(np.float32).reshape(2, 32)
    halves = (bits >> 16).astype(np.uint16)
    if kind == Type.F16:
        return np.where((halves & 0x7C00) == 0x7C00, halves & 0xBFFF, halves).astype(np.uint16).view(np.float16).reshape(2, 32)
    return halves.view(np.uint8).reshape(2, 64)


def write_blocks(path, random):
    writer = GGUFWriter(path, "llama")
    writer.add_uint8("test.u8", 255)
    writer.add_int8("test.i8", -128)
    writer.add_uint16("test.u16", 65535)
    writer.add_int16("test.i16", -32768)
    writer.add_uint32("test.u32", 2**32 - 1)
    writer.add_int32("test.i32", -(2**31))
    writer.add_float32("test.f32", 0.1)
    writer.add_bool("test.bool", True)
    writer.add_string("test.text", "grün, 緑, \ufeff🌱")
    writer.add_uint64("test.u64", 2**53 - 1)
    writer.add_int64("test.i64", -(2**53) + 1)
    writer.add_float64("test.f64", 0.1)
    writer.add_array("test.texts", ["", "\ufeff", "Ġgrün"])
    writer.add_array("test.integers", [1, -2, 3])
    writer.add_array("test.floats", [0.5, -0.1])
    writer.add_array("test.booleans", [True, False])
    writer.add_key_value("test.bytes", [0, 7, 255], GGUFValueType.ARRAY, sub_type=GGUFValueType.UINT8)
    writer.add_key_value("test.long", [0, 2**53 - 1], GGUFValueType.ARRAY, sub_type=GGUFValueType.UINT64)
    tensors = []
    for kind in (Type.F32, Type.F16, Type.BF16):
        tensors.append((kind, float_rows(kind, random)))
    for kind in SCALES:
        # an odd number of rows; several blocks in each
        tensors.append((kind, seeded_blocks(kind, 3, 8 if GGML_QUANT_SIZES[kind][0] == 32 else 2, random)))
    for kind, data in tensors:
        writer.add_tensor(f"blocks.{kind.name}", data, raw_dtype=kind)
        writer.add_tensor(f"values.{kind.name}", dequantize(data, kind).astype(np.float32))
    write(writer)


def write_parts(path, random):
    writer = GGUFWriter(path, "llama", split_max_tensors=2)
    writer.add_string("general.name", "in parts")
    for i in range(5):
        writer.add_tensor(f"part.{i}", (random.standard_normal((2, 3)) + i).astype(np.float32))
    write(writer)


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    random = np.random.Generator(np.random.PCG64(8))
    write_blocks(folder / "blocks.gguf", random)
    write_parts(folder / "parts.gguf", random)
