#!/usr/bin/env python3
"""Is the budget kept, the peak predicted, and the plan the fastest that fits?

    ./dev bench memory [--models gpt2-10m]

For every model: six budgets from the smallest possible to 12 GiB, and a sweep
over micro-batches without and with checkpointing for comparison, in turns.
"""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import time

from run import ROOT, Setting, machine, run

MODELS = {"gpt2-10m": (256, 256), "gpt2-124m": (512, 32)}  # tokens, global batch
MIB = 1 << 20


class Program:
    def __init__(self, accrue, folder, model, dtype):
        self.accrue, self.folder, self.model, self.dtype = accrue, folder, model, dtype
        self.seq_len, self.global_batch = MODELS[model]
        self.data = folder / f"{model}.txt"
        if not self.data.exists():
            self.data.write_bytes(Setting.text()[: self.seq_len * self.global_batch])

    def run(self, command, *extra):
        """The last object of stdout, those before, and the highest peak of
        the process and its child, which is the one that probes."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            out = [] if command == "plan" else ["--out", folder]
            text, peak = run(
                [self.accrue, command, "--model", ROOT / "configs" / self.model, "--data",
                 self.data, "--seq-len", self.seq_len, "--global-batch", self.global_batch,
                 "--dtype", self.dtype, "--json", *out, *extra],
                {"XDG_CACHE_HOME": str(self.folder)})
        rows = [json.loads(line) for line in text.splitlines()]
        return rows[-1], rows[:-1], peak


def speeds_of(steps):
    """The first step of a process is not counted."""
    return [row["tokens_per_s"] for row in steps[1:]]


def measure(program, sizes, steps, rounds):
    smallest = program.run("plan", "--memory", 12 << 30)[0]["smallest_budget_bytes"] + 4 * MIB
    factor = ((12 << 30) / smallest) ** 0.2
    budgets = [int(smallest * factor**i) for i in range(6)]
    sizes = [n for n in sizes if n <= program.global_batch]
    # Checkpointing is of use where little fits.
    sweep = {(n, way): ([], []) for n in sizes for way in ("off", "on") if way == "off" or n <= 2}
    planned = {budget: ([], [], []) for budget in budgets}
    for index in range(rounds):
        for budget in budgets:
            print(f"[{time.strftime('%H:%M:%S')}] {program.model} {program.dtype}, round "
                  f"{index + 1}: {budget / MIB:.0f} MiB", file=sys.stderr, flush=True)
            last, rows, peak = program.run("train", "--memory", budget, "--steps", steps + 1)
            speeds, peaks, summaries = planned[budget]
            speeds += speeds_of(rows)
            peaks.append(peak)
            summaries.append(last["summary"])
        for (size, way), (speeds, peaks) in sweep.items():
            _, rows, peak = program.run(
                "train", "--micro-batch", size, "--checkpointing", way, "--steps", steps + 1)
            speeds += speeds_of(rows)
            peaks.append(peak)
    lines = [f"## {program.model}, {program.dtype}: {program.seq_len} tokens, global batch "
             f"{program.global_batch}", "",
             "| budget MiB | micro-batch | predicted MiB | peak MiB | predicted / peak | of probes, too, MiB | "
             "planning s | tokens/s | best that fits | ratio |", "|---|---|---|---|---|---|---|---|---|---|"]
    for budget, (speeds, peaks, summaries) in planned.items():
        speed = statistics.median(speeds)
        # Rounds may choose differently: the one whose peak was foreseen worst.
        summary = max(summaries, key=lambda s: abs(
            1 - s["predicted_peak_bytes"] / s["resident_peak_bytes"]))
        fitting = {key: statistics.median(s) for key, (s, p) in sweep.items() if max(p) <= budget}
        best = max(fitting, key=fitting.get) if fitting else None
        predicted = summary["predicted_peak_bytes"]
        peak = summary["resident_peak_bytes"]
        chosen = sorted({f"{s['micro_batch']}{' c' if s['checkpointing'] else ''}" for s in summaries})
        lines.append(
            f"| {budget / MIB:.0f} | {', '.join(chosen)} | {predicted / MIB:.0f} | "
            f"{peak / MIB:.0f} | {predicted / peak:.3f} | "
            f"{max(peaks) / MIB:.0f}{'' if max(peaks) <= budget else ' BEYOND'} | "
            f"{max(s['planning_s'] for s in summaries):.1f} | {speed:.0f} | "
            + (f"{fitting[best]:.0f} ({best[0]}{' c' if best[1] == 'on' else ''}) | "
               f"{speed / fitting[best]:.2f} |" if best else "| |"))
    lines += ["", "| micro-batch | tokens/s | peak MiB | checkpointing: tokens/s | peak MiB |",
              "|---|---|---|---|---|"]
    for size in sizes:
        cells = [f"{statistics.median(sweep[size, way][0]):.0f} | {max(sweep[size, way][1]) / MIB:.0f}"
                 for way in ("off", "on") if (size, way) in sweep]
        lines.append(f"| {size} | " + " | ".join(cells) + (" |" if len(cells) > 1 else " | | |"))
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = lambda text: text.split(",")
    parser.add_argument("accrue")
    parser.add_argument("--models", type=names, default=list(MODELS))
    parser.add_argument("--dtypes", type=names, default=["fp32"])
    parser.add_argument("--micro-batches", type=lambda t: [int(n) for n in t.split(",")],
                        default=[1, 2, 4, 8, 16, 32, 64], help="of the sweep")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1, help="measured per process")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "bench/results/memory.md")
    args = parser.parse_args()
    tables = []
    with tempfile.TemporaryDirectory() as name:
        for model in args.models:
            for dtype in args.dtypes:
                program = Program(args.accrue, pathlib.Path(name), model, dtype)
                tables.append(measure(program, args.micro_batches, args.steps, args.rounds))
                print(tables[-1], flush=True)
    args.results.write_text(
        "# Budgets, last run\n\nc: with checkpointing.\n\n" + "\n".join(tables) + "\n"
        + ", ".join(f"{key} {value}" for key, value in machine().items()) + "\n")


if __name__ == "__main__":
    main()
