#!/usr/bin/env python3
"""LoRA on conversations and on preferences, beside PEFT in a plain loop.

    ./dev bench fine-tuning

The same weights, examples, adapters and micro-batches, in turns, a process
each. The peer pads the samples of a micro-batch to the longest (to 8, sorted by
nothing), masks what is not trained on, and has the reference's log-probabilities
of DPO at hand, as accrue has; it is started passive and with tcmalloc.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

import run

BENCH = pathlib.Path(__file__).resolve().parent
SEQ_LEN, RANK, BETA = 512, 16, 0.1
SAMPLES = {"chat": 32, "dpo": 16}


def examples(kind):
    """Ragged: lengths from a tenth to all of SEQ_LEN."""
    text = run.Setting.text().decode()
    rows = []
    for i in range(SAMPLES[kind]):
        begin, prompt = 3000 * i, 20 + (37 * i) % 80
        answer = 40 + (149 * i) % (SEQ_LEN - 140)
        cut = lambda a, b: text[begin + a: begin + b]
        if kind == "chat":
            rows.append({"prompt": cut(0, prompt), "completion": cut(prompt, prompt + answer)})
        else:
            rows.append({"prompt": cut(0, prompt), "chosen": cut(prompt, prompt + answer),
                         "rejected": cut(1000, 1000 + answer // 2 + 20)})
    return rows


def peer(args):
    """Prints the loss of the first step and the seconds of the others."""
    import torch
    import torch.nn.functional as F
    from peft import LoraConfig, get_peft_model
    from transformers import GPT2LMHeadModel
    torch.set_num_threads(args.threads)
    base = GPT2LMHeadModel.from_pretrained(
        args.model, attn_implementation="sdpa", attn_pdrop=0, embd_pdrop=0, resid_pdrop=0,
        dtype=torch.float32)
    torch.manual_seed(1)
    model = get_peft_model(base, LoraConfig(
        r=RANK, lora_alpha=2 * RANK, target_modules=["c_attn", "c_proj", "c_fc"],
        fan_in_fan_out=True)).train()
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=3e-4, fused=True)
    rows = [json.loads(line) for line in open(args.data)]
    keys = ("completion",) if args.kind == "chat" else ("chosen", "rejected")

    def tokens(row, key):
        prompt = row["prompt"].encode()
        ids = torch.tensor(list(prompt + row[key].encode()) + [0])
        labels = ids.clone()
        labels[: len(prompt)] = -100
        return ids[:-1], labels[1:]

    def log_probabilities(batch):
        """Of every sequence: Σ log p of what is trained on, and how much that is."""
        longest = (max(len(ids) for ids, _ in batch) + 7) // 8 * 8
        ids = torch.stack([F.pad(i, (0, longest - len(i))) for i, _ in batch])
        labels = torch.stack([F.pad(l, (0, longest - len(l)), value=-100) for _, l in batch])
        # Padding is on the right, which causal attention never looks at.
        with torch.autocast("cpu", torch.bfloat16, enabled=args.dtype == "bf16"):
            logits = model(ids).logits
        losses = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="none")
        return -losses.view(labels.shape).sum(1), (labels != -100).sum(1)

    data = [[tokens(row, key) for key in keys] for row in rows]
    parts = [data[i:i + args.micro_batch] for i in range(0, len(data), args.micro_batch)]
    flat = [[s for row in part for s in row] for part in parts]
    with torch.no_grad():
        references = [log_probabilities(part)[0] for part in flat]
        count = sum(int((labels != -100).sum()) for row in data for _, labels in row)

    def step():
        total = 0.0
        for part, reference in zip(flat, references):
            values, _ = log_probabilities(part)
            if args.kind == "chat":
                loss = -values.sum() / count
            else:
                ratios = values - reference
                loss = -F.logsigmoid(BETA * (ratios[0::2] - ratios[1::2])).sum() / len(data)
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return total

    first, seconds = step(), []
    for _ in range(args.steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"loss": first, "seconds": seconds}))


def accrue(args, folder, kind, dtype, micro_batch, data):
    with tempfile.TemporaryDirectory(dir=folder) as out_folder:
        out, peak = run.run(
            [args.accrue, "train", "--model", folder / "model", "--data", data, "--objective",
             "dpo" if kind == "dpo" else "lm", "--dpo-beta", BETA, "--seq-len", SEQ_LEN,
             "--global-batch", SAMPLES[kind], "--micro-batch", micro_batch, "--lora-rank", RANK,
             "--steps", args.steps + 1, "--dtype", dtype, "--threads", args.threads, "--out",
             out_folder, "--json"], {"XDG_CACHE_HOME": str(folder)})
    rows = [json.loads(line) for line in out.splitlines() if "tokens_per_s" in line]
    return rows[0]["loss"], [row["step_s"] for row in rows[1:]], peak


def their(args, folder, kind, dtype, micro_batch, data):
    out, peak = run.run(
        [sys.executable, __file__, "--peer", kind, "--model", folder / "model", "--data", data,
         "--dtype", dtype, "--micro-batch", micro_batch, "--steps", args.steps, "--threads",
         args.threads], run.environment("passive+tcmalloc"))
    result = json.loads(out.splitlines()[-1])
    return result["loss"], result["seconds"], peak


def measure(args, folder):
    print("| job | dtype | micro-batch | accrue s/step | PEFT s/step | ratio | accrue MiB | PEFT MiB |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in SAMPLES:
        data = folder / f"{kind}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in examples(kind)))
        for dtype in args.dtypes:
            best = {}
            for size in args.micro_batches:
                times = {accrue: [], their: []}
                peaks, losses = {}, {}
                for _ in range(args.rounds):
                    for system, seconds in times.items():
                        losses[system], more, peaks[system] = system(
                            args, folder, kind, dtype, size, data)
                        seconds += more
                if abs(losses[accrue] - losses[their]) > 2e-3 * losses[their]:
                    raise RuntimeError(f"not the same job: {losses}")
                median = {system: statistics.median(times[system]) for system in times}
                for system, value in median.items():
                    best[system] = min(best.get(system, value), value)
                print(f"| {kind} | {dtype} | {size} | {median[accrue]:.2f} | {median[their]:.2f} | "
                      f"{median[their] / median[accrue]:.2f} | {peaks[accrue] / 2**20:.0f} | "
                      f"{peaks[their] / 2**20:.0f} |", flush=True)
            print(f"| {kind} | {dtype} | best | {best[accrue]:.2f} | {best[their]:.2f} | "
                  f"{best[their] / best[accrue]:.2f} | | |", flush=True)


def main():
    names = lambda text: text.split(",")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("accrue", nargs="?")
    parser.add_argument("--dtypes", type=names, default=["bf16", "fp32"])
    parser.add_argument("--micro-batches", type=lambda t: [int(n) for n in t.split(",")],
                        default=[1, 4, 8])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--peer", dest="kind", help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    parser.add_argument("--dtype", help=argparse.SUPPRESS)
    parser.add_argument("--micro-batch", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.kind:
        return peer(args)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        args.model = "gpt2-124m"
        run.prepare_weights("gpt2-124m", folder / "model")
        measure(args, folder)


if __name__ == "__main__":
    main()
