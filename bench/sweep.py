#!/usr/bin/env python3
"""Throughput and peak memory of one configuration over micro-batch sizes.

    python3 bench/sweep.py build/release/bin/accrue [--model DIR] [--steps N]

The sizes are interleaved, round by round, so that a machine whose speed drifts
treats all of them alike; medians are shown. See bench/README.md.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def corpus(folder):
    """Prose that every Python carries: its reference manual."""
    from pydoc_data.topics import topics
    path = folder / "text.jsonl"
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in topics.values()))
    return path


def run(args, data, folder, micro_batch, index):
    done = subprocess.run(
        [args.accrue, "train", "--model", args.model, "--data", str(data), "--seq-len",
         str(args.seq_len), "--global-batch", str(args.global_batch), "--micro-batch",
         str(micro_batch), "--steps", str(args.steps + 1), "--dtype", args.dtype,
         "--out", str(folder / f"run-{micro_batch}-{index}"), "--json"],
        capture_output=True, text=True, check=True,
        env=dict(os.environ, XDG_CACHE_HOME=str(folder / "cache")))
    steps = [json.loads(line) for line in done.stdout.splitlines()][1:-1]  # first: warm-up
    return [m["tokens_per_s"] for m in steps], max(m["peak_bytes"] for m in steps)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("accrue")
    parser.add_argument("--model", default=str(ROOT / "configs/gpt2-10m"))
    parser.add_argument("--seq-len", type=int, default=256)
    parser.add_argument("--global-batch", type=int, default=32)
    parser.add_argument("--dtype", default="fp32")
    parser.add_argument("--steps", type=int, default=1, help="per round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    sizes = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= args.global_batch]
    speeds = {n: [] for n in sizes}
    peaks = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        data = corpus(folder)
        for index in range(args.rounds):
            for n in sizes:
                print(f"\rround {index + 1}/{args.rounds}, micro-batch {n}   ", end="", flush=True)
                measured, peaks[n] = run(args, data, folder, n, index)
                speeds[n] += measured
    best = max(statistics.median(s) for s in speeds.values())
    print(f"\n{'micro-batch':>11} {'tokens/s':>9} {'of best':>8} {'peak MiB':>9}")
    for n in sizes:
        median = statistics.median(speeds[n])
        print(f"{n:>11} {median:>9.0f} {median / best:>8.2f} {peaks[n] / 2**20:>9.0f}")


if __name__ == "__main__":
    main()
