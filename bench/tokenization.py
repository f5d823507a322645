#!/usr/bin/env python3
"""Speed of tokenizing a corpus, beside the tokenizers package.

    python bench/tokenization.py build/release/bin/accrue TOKENIZER.json TEXT...

Both get all cores and the same documents, in turns; medians. accrue's time is
that of a run of one step on a model next to nothing, less that of the same run
with the tokens in its cache. For tokenizers it is encode_batch alone, without
reading files.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

BATCH = 1 << 20  # bytes of text that tokenizers gets at a time


def accrue_seconds(accrue, folder, corpus):
    def train(cache, out):
        start = time.perf_counter()
        subprocess.run(
            [accrue, "train", "--model", folder, "--data", corpus, "--seq-len", "32",
             "--global-batch", "1", "--micro-batch", "1", "--steps", "1", "--quiet", "--out", out],
            check=True, capture_output=True, env={**os.environ, "XDG_CACHE_HOME": cache})
        return time.perf_counter() - start

    with tempfile.TemporaryDirectory() as work:
        return train(work, work + "/1") - train(work, work + "/2")


def peer_seconds(tokenizer, documents):
    start = time.perf_counter()
    batch, size = [], 0
    for document in documents:
        batch.append(document)
        size += len(document)
        if size >= BATCH:
            tokenizer.encode_batch_fast(batch)
            batch, size = [], 0
    tokenizer.encode_batch_fast(batch)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("accrue")
    parser.add_argument("tokenizer", type=pathlib.Path)
    parser.add_argument("text", type=pathlib.Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=20)
    args = parser.parse_args()
    from tokenizers import Tokenizer
    peer = Tokenizer.from_file(str(args.tokenizer))
    paragraphs = [p for path in args.text for p in path.read_text().split("\n\n") if p]
    documents, size = [], 0
    while size < args.megabytes * 1e6:
        documents += paragraphs
        size += sum(len(p.encode()) for p in paragraphs)
    with tempfile.TemporaryDirectory() as folder:
        vocab = peer.get_vocab_size()
        (pathlib.Path(folder) / "config.json").write_text(json.dumps(
            {"model_type": "gpt2", "vocab_size": vocab, "n_positions": 32, "n_embd": 8,
             "n_layer": 1, "n_head": 1, "eos_token_id": 0}))
        (pathlib.Path(folder) / "tokenizer.json").write_bytes(args.tokenizer.read_bytes())
        corpus = pathlib.Path(folder) / "corpus.jsonl"
        corpus.write_text("".join(json.dumps({"text": d}) + "\n" for d in documents))
        seconds = {"accrue": [], "tokenizers": []}
        for _ in range(args.rounds):
            seconds["accrue"].append(accrue_seconds(args.accrue, folder, str(corpus)))
            seconds["tokenizers"].append(peer_seconds(peer, documents))
    speed = {name: size / 1e6 / statistics.median(times) for name, times in seconds.items()}
    print(f"| {args.tokenizer.parent.name} | {speed['accrue']:.1f} | {speed['tokenizers']:.1f} | "
          f"{speed['accrue'] / speed['tokenizers']:.2f} |")


if __name__ == "__main__":
    main()
