#!/usr/bin/env python3
"""Throughput and memory of accrue and its peers on the same weights and data.

    ./dev bench                      everything (some hours)
    ./dev bench --models gpt2-10m --micro-batches 4,16 --systems accrue,eager

Every measurement is a process of its own; systems and micro-batches are
interleaved, round by round. bench/README.md says how to read the result.
"""

import argparse
import importlib.metadata
import itertools
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import picture

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent
MODELS = {"gpt2-10m": (256, 64), "gpt2-124m": (512, 16)}  # tokens, global batch
SYSTEMS = ("accrue", "eager", "compile", "accelerate", "trainer")
LIBRARIES = pathlib.Path("/usr/lib/x86_64-linux-gnu")
# How a peer may be started; the fastest is taken for it.
WAYS = {
    "plain": {},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "passive+tcmalloc": {"OMP_WAIT_POLICY": "passive",
                         "LD_PRELOAD": str(LIBRARIES / "libtcmalloc_minimal.so.4")},
    "passive+jemalloc": {"OMP_WAIT_POLICY": "passive",
                         "LD_PRELOAD": str(LIBRARIES / "libjemalloc.so.2")},
}


def run(command, extra):
    """stdout of a process and its peak resident memory."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen([str(c) for c in command], stdout=out, stderr=err,
                                 env={**os.environ, **extra})
        _, code, usage = os.wait4(child.pid, 0)
        out.seek(0), err.seek(0)
        if code != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}\n{err.read()[-2000:]}")
        return out.read(), usage.ru_maxrss * 1024


def prepare_weights(model, folder):
    """Random weights of one of configs/, as transformers writes them."""
    subprocess.run([sys.executable, "-c", f"""
import torch, transformers
torch.manual_seed(1)
config = transformers.GPT2Config.from_pretrained({str(ROOT / 'configs' / model)!r})
transformers.GPT2LMHeadModel(config).save_pretrained({str(folder)!r})"""],
                   check=True, capture_output=True)
    # As it stands there, without fields that say nothing of the model.
    (folder / "config.json").write_text((ROOT / "configs" / model / "config.json").read_text())


class Setting:
    """One model and dtype: its weights, its data, how to measure a system."""

    def __init__(self, args, folder, model, dtype):
        self.args, self.folder, self.model, self.dtype = args, folder, model, dtype
        self.seq_len, self.global_batch = MODELS[model]
        self.weights = folder / model
        self.data = folder / f"{model}.txt"
        if not self.weights.exists():
            self.prepare()

    def prepare(self):
        prepare_weights(self.model, self.weights)
        self.data.write_bytes(self.text()[: self.seq_len * self.global_batch])

    @staticmethod
    def text():
        from pydoc_data.topics import topics
        return " ".join(topics.values()).encode("ascii", "replace")

    def measure(self, system, micro_batch, way, steps):
        if system == "accrue":
            return self.accrue(micro_batch, steps)
        out, _ = run(
            [sys.executable, BENCH / "peers.py", system, "--model", self.weights, "--data",
             self.data, "--seq-len", self.seq_len, "--micro-batch", micro_batch, "--dtype",
             self.dtype, "--steps", steps, "--threads", self.args.threads, "--scratch",
             self.folder / "scratch"], WAYS[way])
        return json.loads(out.splitlines()[-1])

    def accrue(self, micro_batch, steps):
        # One pass over the data per step: every step sees the same batch.
        out, peak = run(
            [self.args.accrue, "train", "--model", self.weights, "--data", self.data,
             "--seq-len", self.seq_len, "--global-batch", self.global_batch, "--micro-batch",
             micro_batch, "--steps", steps + 1, "--dtype", self.dtype, "--threads",
             self.args.threads, "--out", tempfile.mkdtemp(dir=self.folder), "--json"],
            {"XDG_CACHE_HOME": str(self.folder)})
        rows = [json.loads(line) for line in out.splitlines()]
        rows = [row for row in rows if "tokens_per_s" in row]
        _, baseline = run([self.args.accrue, "--version"], {})
        return {"loss": rows[0]["loss"], "seconds": [row["step_s"] for row in rows[1:]],
                "baseline_bytes": baseline, "peak_bytes": peak}

    def floor(self):
        out, _ = run([sys.executable, BENCH / "peers.py", "floor", "--model", self.weights,
                      "--dtype", self.dtype, "--threads", self.args.threads], WAYS["passive"])
        return json.loads(out)

    def best_way(self, systems, progress):
        """The fastest way to start each peer, at one micro-batch."""
        best = {}
        for system in systems:
            seconds = {}
            for way in WAYS:
                progress(f"{system}, {way}")
                seconds[way] = min(self.measure(system, 4, way, 1)["seconds"])
            best[system] = min(seconds, key=seconds.get)
        return best


def measure_setting(args, folder, model, dtype):
    setting = Setting(args, folder, model, dtype)

    def progress(what):
        print(f"[{time.strftime('%H:%M:%S')}] {model} {dtype}: {what}", file=sys.stderr, flush=True)
    peers = [s for s in args.systems if s != "accrue"]
    screened = [s for s in peers if s in args.screen] or peers[:1]
    ways = setting.best_way(screened, progress)
    runs = {}
    sizes = [n for n in args.micro_batches if n <= setting.global_batch]
    floors = []
    for index in range(args.rounds):
        floors.append(setting.floor())
        for micro_batch, system in itertools.product(sizes, args.systems):
            progress(f"round {index + 1}/{args.rounds}, micro-batch {micro_batch}, {system}")
            way = ways.get(system, next(iter(ways.values()), "plain"))
            result = setting.measure(system, micro_batch, way, args.steps)
            entry = runs.setdefault((system, micro_batch), dict(result, seconds=[], way=way))
            entry["seconds"] += result["seconds"]
            entry["peak_bytes"] = max(entry["peak_bytes"], result["peak_bytes"])
    tokens = setting.seq_len * setting.global_batch
    rows = [{"system": system, "micro_batch": micro_batch,
             "way": entry["way"] if system != "accrue" else "plain", "loss": entry["loss"],
             "tokens_per_s": tokens / statistics.median(entry["seconds"]),
             "memory_bytes": entry["peak_bytes"] - entry["baseline_bytes"]}
            for (system, micro_batch), entry in runs.items()]
    check_losses(rows, dtype)
    return {"model": model, "dtype": dtype, "seq_len": setting.seq_len,
            "global_batch": setting.global_batch, "rows": rows,
            "floor": {key: statistics.median(f[key] for f in floors) for key in floors[0]}}


def check_losses(rows, dtype):
    """The first loss of all must be the same: same weights, same data."""
    tolerance = 1e-4 if dtype == "fp32" else 2e-3
    for row in rows:
        # The Trainer rounds what it logs.
        allowed = max(tolerance * rows[0]["loss"], 5e-4 if row["system"] == "trainer" else 0)
        if abs(row["loss"] - rows[0]["loss"]) > allowed:
            raise RuntimeError(f"{row['system']} starts at loss {row['loss']}, "
                               f"{rows[0]['system']} at {rows[0]['loss']}: not the same job")


def table(setting):
    floor = setting["floor"]["tokens_per_s"]
    peers = [r["tokens_per_s"] for r in setting["rows"] if r["system"] != "accrue"]
    lines = [f"## {setting['model']}, {setting['dtype']}: {setting['seq_len']} tokens, "
             f"global batch {setting['global_batch']}", "",
             f"GEMM floor of LibTorch: {floor:.0f} tokens/s "
             f"({setting['floor']['gemm_gflops']:.0f} GFLOP/s).", "",
             "| system | micro-batch | tokens/s | of fastest peer | of floor | memory MiB | started |",
             "|---|---|---|---|---|---|---|"]
    for row in sorted(setting["rows"], key=lambda r: (SYSTEMS.index(r["system"]), r["micro_batch"])):
        speed = row["tokens_per_s"]
        of_peer = f"{speed / max(peers):.2f}" if peers else ""
        lines.append(f"| {row['system']} | {row['micro_batch']} | {speed:.0f} | {of_peer} | "
                     f"{speed / floor:.2f} | {row['memory_bytes'] / 2**20:.0f} | {row['way']} |")
    return "\n".join(lines) + "\n"


def machine():
    def first(command):
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        return done.stdout.strip().splitlines()[0] if done.stdout.strip() else "unknown"
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                if line.startswith("model name")), "unknown")
    # Not imported here: a child's peak memory would count this process's.
    versions = {name: importlib.metadata.version(name)
                for name in ("torch", "transformers", "accelerate")}
    return {"commit": first(["git", "describe", "--always", "--dirty"]), "cpu": cpu,
            "cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d"),
            "python": platform.python_version(), **versions}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = lambda text: text.split(",")
    parser.add_argument("accrue")
    parser.add_argument("--models", type=names, default=list(MODELS))
    parser.add_argument("--dtypes", type=names, default=["fp32", "bf16"])
    parser.add_argument("--systems", type=names, default=list(SYSTEMS))
    parser.add_argument("--micro-batches", type=lambda t: [int(n) for n in t.split(",")],
                        default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--screen", type=names, default=["eager", "compile", "accelerate", "trainer"],
                        help="peers whose best way of starting is searched; others take the first's")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1, help="measured per process, after one that is not")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--results", type=pathlib.Path, default=BENCH / "results")
    args = parser.parse_args()
    args.results.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        for model, dtype in itertools.product(args.models, args.dtypes):
            setting = measure_setting(args, pathlib.Path(name), model, dtype)
            setting["machine"] = machine()
            base = args.results / f"{model}-{dtype}"
            base.with_suffix(".json").write_text(json.dumps(setting, indent=1) + "\n")
            base.with_suffix(".svg").write_text(picture.draw(setting))
            print(table(setting), flush=True)
    settings = [json.loads(p.read_text()) for p in sorted(args.results.glob("*.json"))]
    (args.results / "README.md").write_text("# Results of the last run\n\n" + "\n".join(
        table(s) + f"\n![throughput over memory]({s['model']}-{s['dtype']}.svg)\n\n"
        + ", ".join(f"{key} {value}" for key, value in s["machine"].items()) + "\n"
        for s in settings))


if __name__ == "__main__":
    main()
