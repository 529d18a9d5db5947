"""How llama.cpp cuts words under each pre-tokenizer's name: test/fixtures/gguf-text/splits.json.

    python -m venv venv && venv/bin/pip install gguf==0.19.0
    npm install --ignore-scripts --prefix FOLDER node-llama-cpp      # llama.cpp, compiled
    venv/bin/python tools/gguf-text-splits.py FOLDER test/fixtures/gguf-text/splits.json

The vocabulary is made for the purpose: bytes, and the pairs that are most frequent in the texts when nothing is cut, so that pieces reach over
every border that a pre-tokenizer may draw and two ways to cut give two lists of ids. llama.cpp tokenizes the texts under each name. There are no
combining marks in them: there llama.cpp itself departs from the tokenizers that it stands for (tekken, gpt-4o).
"""
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter

import gguf

folder, target = sys.argv[1:3]
names = """default gpt-2 phi-2 jais gigachat a.x-4.0 mellum exaone4 trillion granite-docling mpt olmo modern-bert smollm starcoder refact codeshell
exaone minerva-7b mellum2 command-r llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 dbrx smaug-bpe chatglm-bpe glm4 qwen2
deepseek-r1-qwen megrez stablelm2 hunyuan qwen35 tekken gpt-4o llama4 kanana2 deepseek-llm deepseek-coder deepseek-v3 falcon""".split()
bits = """Hello|I'LL|don't|we've| x| |  |\n|\n\n|\r\n|\t|12|345|3.14|1234567|caf\u00e9|\u00bd|\u65e5\u672c\u8a9e|ABCdef|HTTPServer|\u041f\u0440\u0438|<b>|/>|...|!?|`|!\n/|```|$5|+=|//\n| /|_|\u2014|
\u201c|\U0001f642|ok| the|'s|'S|\uac00\ub098|\u3041\u30ab|#|@x|{|~|\uff01|\u3002""".split("|")
random.seed(8)
texts = ["".join(random.choice(bits) for _ in range(random.randint(4, 12))) for _ in range(36)]

printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
letters = {byte: chr(byte) for byte in printable}
letters.update({byte: chr(256 + i) for i, byte in enumerate(b for b in range(256) if b not in printable)})
runs = [[letters[byte] for byte in text.encode()] for text in texts]
tokens, merges = sorted(letters.values()), []
while counts := Counter(pair for run in runs for pair in zip(run, run[1:]) if len("".join(pair)) < 12):
    best = max(sorted(counts), key=counts.get)
    merges.append(" ".join(best))
    if "".join(best) not in tokens:
        tokens.append("".join(best))
    for run in runs:
        i = 0
        while i + 1 < len(run):
            if (run[i], run[i + 1]) == best:
                run[i : i + 2] = ["".join(best)]
            i += 1

program = """
import { getLlama } from 'node-llama-cpp';
const [modelPath, texts] = process.argv.slice(-2);
const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'disabled' });
const model = await llama.loadModel({ modelPath, vocabOnly: true });
console.log(JSON.stringify(JSON.parse(texts).map((text) => [...model.tokenize(text, true)])));
process.exit(0);
"""
groups = {}
with tempfile.TemporaryDirectory(dir=folder) as place:
    script, file = os.path.join(place, "tokenize.mjs"), os.path.join(place, "vocabulary.gguf")
    with open(script, "w", encoding="utf-8") as out:
        out.write(program)
    for name in names:
        writer = gguf.GGUFWriter(file, "llama")
        writer.add_block_count(1)
        writer.add_context_length(512)
        writer.add_embedding_length(8)
        writer.add_feed_forward_length(8)
        writer.add_head_count(1)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(name)
        writer.add_token_list(tokens)
        writer.add_token_types([1] * len(tokens))
        writer.add_token_merges(merges)
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(0)
        writer.add_bool("tokenizer.ggml.add_bos_token", False)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        run = subprocess.run(["node", script, file, json.dumps(texts)], cwd=folder, capture_output=True, text=True)
        if run.returncode:
            print(f"{name}: this llama.cpp does not know it", file=sys.stderr)
            continue
        groups.setdefault(run.stdout.strip().splitlines()[-1], []).append(name)
with open(target, "w", encoding="utf-8") as out:
    split = [{"names": group, "ids": json.loads(ids)} for ids, group in groups.items()]
    json.dump({"tokens": tokens, "merges": merges, "texts": texts, "splits": split}, out, ensure_ascii=False, separators=(",", ":"))
    out.write("\n")
