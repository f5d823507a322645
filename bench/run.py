#!/usr/bin/env python3
"""Throughput and memory of accrue and its peers on the same weights and data.

    ./dev bench                      everything (some hours)
    ./dev bench --models gpt2-10m --micro-batches 4,16 --systems accrue,eager
    ./dev bench --isa avx2           everybody held to an instruction set

Every measurement is a process of its own; systems and micro-batches are
interleaved, round by round. Rounds after the first repeat what the ratios are
made of: every system's best size, 4 and the whole batch; and the best of plain
PyTorch with MKL's AVX-512. bench/README.md says how to read the result.
"""

import argparse
import importlib.metadata
import itertools
import json
import math
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
PRELOADS = {"tcmalloc": LIBRARIES / "libtcmalloc_minimal.so.4",
            "jemalloc": LIBRARIES / "libjemalloc.so.2",
            "mkl512": None}  # made by prepare_mkl512
# How a peer may be started; the fastest is taken for it.
WAYS = ("plain", "passive", "tcmalloc", "passive+tcmalloc", "passive+jemalloc", "tcmalloc+thp",
        "passive+tcmalloc+thp")
# And what PyTorch's settings don't offer, for these systems' best sizes.
MKL512, FORCED = "+mkl512", ("eager", "compile")


def environment(way):
    parts = way.split("+")
    variables = {}
    if "passive" in parts:
        variables["OMP_WAIT_POLICY"] = "passive"
    if "thp" in parts:  # LibTorch asks for huge pages
        variables["THP_MEM_ALLOC_ENABLE"] = "1"
    preloads = [str(PRELOADS[part]) for part in parts if part in PRELOADS]
    for path in preloads:  # the loader would only warn
        if not os.path.exists(path):
            raise RuntimeError(f"{path} is missing; ./dev bench installs it")
    if preloads:
        variables["LD_PRELOAD"] = ":".join(preloads)
    return variables


def prepare_mkl512(folder):
    """MKL asks whether the CPU is Intel's before it uses AVX-512. This says yes."""
    source = folder / "mkl512.c"
    source.write_text("int mkl_serv_intel_cpu_true(void) { return 1; }\n")
    PRELOADS["mkl512"] = folder / "mkl512.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", PRELOADS["mkl512"], source], check=True)


def instruction_set(accrue):
    """What accrue runs on; bench/isa.py holds everybody to one."""
    out, _ = run([accrue, "--version"], {})
    return next(line.split()[2] for line in out.splitlines() if line.startswith("instruction set"))


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
        self.isa = instruction_set(args.accrue)
        self.weights = folder / model
        self.data = folder / f"{model}.txt"
        self.quarter = folder / f"{model}-quarter.txt"  # of the global batch
        if not self.weights.exists():
            self.prepare()

    def prepare(self):
        prepare_weights(self.model, self.weights)
        batch = self.text()[: self.seq_len * self.global_batch]
        self.data.write_bytes(batch)
        self.quarter.write_bytes(batch[: len(batch) // 4])

    @staticmethod
    def text():
        from pydoc_data.topics import topics
        return " ".join(topics.values()).encode("ascii", "replace")

    def measure(self, system, micro_batch, way, steps):
        if system == "accrue":
            return self.accrue(micro_batch, steps)
        return self.peer(system.removesuffix(MKL512), micro_batch, way, steps, self.data)

    def peer(self, system, micro_batch, way, steps, data):
        out, _ = run(
            [sys.executable, BENCH / "peers.py", system, "--model", self.weights, "--data",
             data, "--seq-len", self.seq_len, "--micro-batch", micro_batch, "--dtype",
             self.dtype, "--steps", steps, "--threads", self.args.threads, "--scratch",
             self.folder / "scratch"], environment(way))
        return json.loads(out.splitlines()[-1])

    def accrue(self, micro_batch, steps):
        # One pass over the data per step: every step sees the same batch.
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            out, peak = run(
                [self.args.accrue, "train", "--model", self.weights, "--data", self.data,
                 "--seq-len", self.seq_len, "--global-batch", self.global_batch, "--micro-batch",
                 micro_batch, "--steps", steps + 1, "--dtype", self.dtype, "--threads",
                 self.args.threads, "--out", folder, "--json"],
                {"XDG_CACHE_HOME": str(self.folder)})
        rows = [json.loads(line) for line in out.splitlines()]
        rows = [row for row in rows if "tokens_per_s" in row]
        _, baseline = run([self.args.accrue, "--version"], {})
        return {"loss": rows[0]["loss"], "seconds": [row["step_s"] for row in rows[1:]],
                "baseline_bytes": baseline, "peak_bytes": peak}

    def num_parameters(self):
        from safetensors import safe_open
        with safe_open(self.weights / "model.safetensors", "np") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())

    def floor(self, way):
        out, _ = run([sys.executable, BENCH / "peers.py", "floor", "--model", self.weights,
                      "--dtype", self.dtype, "--threads", self.args.threads], environment(way))
        return json.loads(out)

    def search_ways(self, progress):
        """Seconds of a short step of every peer in every way to start it, at micro-batch 4."""
        seconds = {}
        for system in (s for s in self.args.systems if s != "accrue"):
            for way in self.args.ways:
                progress(f"{system}, {way}")
                result = self.peer(system, 4, way, self.args.screen_steps, self.quarter)
                seconds.setdefault(system, {})[way] = statistics.median(result["seconds"])
        return seconds


def measure_setting(args, folder, model, dtype):
    """The results so far, after every round."""
    setting = Setting(args, folder, model, dtype)

    def progress(what):
        print(f"[{time.strftime('%H:%M:%S')}] {model} {dtype}: {what}", file=sys.stderr, flush=True)
    sizes = [n for n in args.micro_batches if setting.global_batch % n == 0]
    if not sizes:
        raise SystemExit(f"{model}: none of --micro-batches divides the global batch of "
                         f"{setting.global_batch}")
    searched = setting.search_ways(progress)
    ways = {"accrue": "plain"} | {s: min(times, key=times.get) for s, times in searched.items()}
    forced = FORCED if setting.isa.startswith("avx512") else ()
    ways |= {s + MKL512: ways[s] + MKL512 for s in forced if s in ways}
    runs = {}
    pairs = list(itertools.product(sizes, args.systems))
    floors = []
    for index in range(args.rounds):
        floors.append(max((setting.floor(way) for way in ("plain", "passive")),
                          key=lambda floor: floor["tokens_per_s"]))
        for micro_batch, system in pairs:
            progress(f"round {index + 1}/{args.rounds}, micro-batch {micro_batch}, {system}")
            result = setting.measure(system, micro_batch, ways[system], args.steps)
            entry = runs.setdefault((micro_batch, system), dict(result, seconds=[]))
            entry["seconds"] += result["seconds"]
            entry["peak_bytes"] = max(entry["peak_bytes"], result["peak_bytes"])

        if index == 0:
            best = {min((p for p in runs if p[1] == s), key=lambda p: statistics.median(runs[p]["seconds"]))
                    for s in args.systems}
            pairs = [p for p in runs if p in best or p[0] in (4, setting.global_batch)]
            pairs += [(size, s + MKL512) for size, s in best if s in forced]
        yield results(setting, runs, ways, searched, floors)


def results(setting, runs, ways, searched, floors):
    tokens = setting.seq_len * setting.global_batch
    rows = [{"system": system, "micro_batch": micro_batch, "way": ways[system],
             "loss": entry["loss"], "seconds": entry["seconds"],
             "tokens_per_s": tokens / statistics.median(entry["seconds"]),
             "memory_bytes": entry["peak_bytes"] - entry["baseline_bytes"]}
            for (micro_batch, system), entry in runs.items()]
    check_losses(rows, setting.dtype)
    return {"model": setting.model, "dtype": setting.dtype, "isa": setting.isa, "seq_len": setting.seq_len,
            "global_batch": setting.global_batch, "rows": rows,
            "state_bytes": 16 * setting.num_parameters(), "ways": searched,
            "rounds": len(floors), "steps": setting.args.steps, "threads": setting.args.threads,
            "floor": {key: statistics.median(f[key] for f in floors) for key in floors[0]}}


def check_losses(rows, dtype):
    """The first loss of all must be the same: same weights, same data."""
    tolerance = 1e-4 if dtype == "fp32" else 2e-3
    for row in rows:
        if abs(row["loss"] - rows[0]["loss"]) > tolerance * rows[0]["loss"]:
            raise RuntimeError(f"{row['system']} starts at loss {row['loss']}, "
                               f"{rows[0]['system']} at {rows[0]['loss']}: not the same job")


def fastest(rows):
    """Of those that were measured in every round."""
    most = max(len(row["seconds"]) for row in rows)
    return max((r for r in rows if len(r["seconds"]) == most), key=lambda r: r["tokens_per_s"])


def ratios(setting):
    """What the table comes to, a line each."""
    def rows(system, micro_batch=None):
        return [r for r in setting["rows"] if r["system"] == system
                and micro_batch in (None, r["micro_batch"])]

    if not rows("accrue"):
        return []
    ours = fastest(rows("accrue"))
    peers = [r for r in setting["rows"] if r["system"] in SYSTEMS[1:]]
    forced = [r for r in setting["rows"] if r["system"].endswith(MKL512)]
    lines = [f"- best of the floor: {ours['tokens_per_s'] / setting['floor']['tokens_per_s']:.2f}"]
    for what, theirs in (("the fastest peer", peers), ("PyTorch with MKL's AVX-512", forced)):
        if theirs:
            other = fastest(theirs)
            lines.append(f"- best of {what}: "
                         f"{ours['tokens_per_s'] / other['tokens_per_s']:.2f} (micro-batch "
                         f"{ours['micro_batch']}; {other['system']} at {other['micro_batch']})")
    for unsplit in rows("accrue", setting["global_batch"]):
        lines.append(f"- time of a step, micro-batch {ours['micro_batch']} of unsplit: "
                     f"{unsplit['tokens_per_s'] / ours['tokens_per_s']:.2f}")
    for mine, eager in zip(rows("accrue", 4), rows("eager", 4)):
        state = setting["state_bytes"]
        above = (mine["memory_bytes"] - state) / (eager["memory_bytes"] - state)
        lines.append(f"- memory at micro-batch 4 of eager's: {above:.2f} above weights, gradients "
                     f"and moments ({state / 2**20:.0f} MiB), "
                     f"{mine['memory_bytes'] / eager['memory_bytes']:.2f} with them")
    return lines


def table(setting):
    floor = setting["floor"]["tokens_per_s"]
    peers = [row for row in setting["rows"] if row["system"] in SYSTEMS[1:]]
    best_peer = fastest(peers)["tokens_per_s"] if peers else math.nan
    lines = [f"## {setting['model']}, {setting['dtype']}, {setting['isa']}: {setting['seq_len']} tokens, "
             f"global batch {setting['global_batch']}", "",
             f"GEMM floor of LibTorch: {floor:.0f} tokens/s "
             f"({setting['floor']['gemm_gflops']:.0f} GFLOP/s).", "",
             "| system | micro-batch | tokens/s | of fastest peer | of floor | memory MiB | started |",
             "|---|---|---|---|---|---|---|"]
    def place(row):
        return SYSTEMS.index(row["system"].removesuffix(MKL512)), row["system"], row["micro_batch"]
    for row in sorted(setting["rows"], key=place):
        speed = row["tokens_per_s"]
        lines.append(f"| {row['system']} | {row['micro_batch']} | {speed:.0f} | "
                     f"{speed / best_peer:.2f} | "
                     f"{speed / floor:.2f} | {row['memory_bytes'] / 2**20:.0f} | {row['way']} |")
    return "\n".join(lines + [""] + ratios(setting)) + "\n"


def cpu():
    """As the system names it, and what tells apart those that share the name."""
    with open("/proc/cpuinfo") as file:
        lines = dict(line.split(":", 1) for line in file if ":" in line)
    field = {key.strip(): value.strip() for key, value in lines.items()}
    return (f"{field.get('model name', 'unknown')} (family {field.get('cpu family')}, "
            f"model {field.get('model')})")


def machine():
    def first(command):
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        return done.stdout.strip().splitlines()[0] if done.stdout.strip() else "unknown"
    # Not imported here: a child's peak memory would count this process's.
    versions = {name: importlib.metadata.version(name)
                for name in ("torch", "transformers", "accelerate")}
    return {"commit": first(["git", "describe", "--always", "--dirty"]), "cpu": cpu(),
            "cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d"),
            "python": platform.python_version(), **versions}


def describe(where):
    return ", ".join(f"{key} {value}" for key, value in where.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = lambda text: text.split(",")
    parser.add_argument("accrue")
    parser.add_argument("--models", type=names, default=list(MODELS))
    parser.add_argument("--dtypes", type=names, default=["fp32", "bf16"])
    parser.add_argument("--systems", type=names, default=list(SYSTEMS))
    parser.add_argument("--micro-batches", type=lambda t: [int(n) for n in t.split(",")],
                        default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--ways", type=names, default=list(WAYS),
                        help="ways of starting a peer, of which the fastest is searched")
    parser.add_argument("--screen-steps", type=int, default=3, help="steps of that search")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1, help="measured per process, after one that is not")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--results", type=pathlib.Path,
                        help="default: bench/results, or build/bench for a part of the systems or sizes")
    args = parser.parse_args()
    if args.results is None:
        whole = (args.systems == parser.get_default("systems")
                 and args.micro_batches == parser.get_default("micro_batches"))
        args.results = BENCH / "results" if whole else ROOT / "build" / "bench"
    args.results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        prepare_mkl512(pathlib.Path(name))
        for model, dtype in itertools.product(args.models, args.dtypes):
            for setting in measure_setting(args, pathlib.Path(name), model, dtype):
                setting["machine"] = machine()
                base = args.results / f"{model}-{dtype}-{setting['isa']}"
                base.with_suffix(".json").write_text(json.dumps(setting, indent=1) + "\n")
                base.with_suffix(".svg").write_text(picture.draw(setting))
            print(table(setting), flush=True)
    settings = [json.loads(p.read_text()) for p in sorted(args.results.glob("*.json"))]
    (args.results / "README.md").write_text("# Results of the last run\n\n" + "\n".join(
        table(s) + f"\n![throughput over memory]({s['model']}-{s['dtype']}-{s['isa']}.svg)\n\n"
        + describe(s["machine"]) + "\n"
        for s in settings))


if __name__ == "__main__":
    main()
