#!/usr/bin/env python3
"""Runs all that needs a GPU, in order of importance, within a few minutes.

    tests/gpu/run.py FOLDER                 on cuda:0, results to FOLDER
    tests/gpu/run.py FOLDER --device cpu    the same parts on a CPU, smaller

`./dev gpu` builds and calls this. FOLDER gets gpu.md, gpu.json and gpu.log, the
output of every process. The last line of the output is the verdict; the exit
status is 0 only if that is PASS.
"""

import argparse
import datetime
import functools
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tests" / "cli"), str(ROOT / "tests" / "gpu")]

import correctness  # noqa: E402
import throughput  # noqa: E402
from parts import Log, Part, verdict  # noqa: E402
from tests_of_program import tests  # noqa: E402


class Bench:
    """Where things are, and what is known of the machine."""

    path = pathlib.Path

    def __init__(self, args, work):
        self.root, self.work = ROOT, work
        self.bin = args.bin.resolve()
        self.accrue = str(self.bin / "accrue")
        self.device, self.gpu = args.device, args.device != "cpu"
        self.jobs = args.jobs
        self.python = args.python
        self.facts, self.bits, self.budget_lines, self.table = {}, [], [], []
        self.env = {"XDG_CACHE_HOME": str(work / "cache")}
        # Several tests at a time share the cores.
        threads = max(1, (os.cpu_count() or 1) // self.jobs)
        self.test_env = {**self.env, "OMP_NUM_THREADS": str(threads)}
        if self.gpu:
            self.test_env["ACCRUE_TEST_DEVICE"] = args.device
        else:  # sums by grain, as on a GPU
            self.env = {**self.env, "ACCRUE_BACKEND": "portable"}
        self.large = ROOT / "configs" / "gpt2-124m"
        self.large_tokens, self.grain = 1024, []
        self.budgets, self.too_little = (6 << 10, 3 << 10, 20 << 10), "300MiB"
        self.base = str(work / "base" / "model")  # made by the part that needs it
        self.prepare()

    def prepare(self):
        os.environ.setdefault("ACCRUE", self.accrue)
        os.environ.setdefault("ACCRUE_SOURCE", str(ROOT))
        import support
        self.models = {name: self.write(f"{name}.json", json.dumps(config)) for name, config in
                       (("gpt2", support.GPT2), ("llama", support.LLAMA))}
        prose = support.prose
        self.text = self.write("text.txt", prose(6000))
        self.ragged = self.write("ragged.jsonl", "".join(
            json.dumps({"text": prose(1 + (i * 5) % 23, seed=i)}) + "\n" for i in range(120)))
        self.pairs = self.write("pairs.jsonl", "".join(
            json.dumps({"prompt": prose(2, i) + " ", "chosen": prose(1 + i % 4, 2 * i),
                        "rejected": prose(1 + (2 * i) % 5, 3 * i)}) + "\n" for i in range(120)))
        from pydoc_data.topics import topics
        self.book = self.write("book.txt", " ".join(topics.values()))
        if not self.gpu:
            self.large = self.models["gpt2"]
            self.large_tokens, self.grain = 64, ["--grain-tokens", "256"]
            self.budgets, self.too_little = (300, 200), "20MiB"
    def write(self, name, content):
        path = self.work / name
        path.write_text(content)
        return str(path)


# Name, title, function, seconds on a GPU and on a CPU, whether the verdict depends on it.
PARTS = (
    ("a", "the device starts", correctness.smoke, 90, 20, True),
    ("b", "tests", tests, 60, 110, True),
    ("c", "bits", correctness.bits, 75, 80, True),
    ("d", "agreement with the CPU", correctness.agreement, 20, 20, True),
    ("e", "verify", correctness.verify, 35, 20, True),
    ("f", "budgets", correctness.budgets, 50, 30, True),
    ("g", "memcheck", functools.partial(correctness.sanitize, "memcheck"), 25, 5, True),
    ("h", "throughput", throughput.throughput, 170, 60, False),
    ("i", "racecheck", functools.partial(correctness.sanitize, "racecheck"), 40, 5, True),
)


def summary(bench, parts, names):
    """Lines of the end of a report, the verdict last."""
    lines = [f"{key}: {'; '.join(value) if isinstance(value, list) else value}"
             for key, value in bench.facts.items()]
    lines += [part.summary() for part in parts]
    lines += [f"bits    {line}" for line in bench.bits]
    lines += [f"budget  {line}" for line in bench.budget_lines]
    lines += bench.table
    missing = [name for name, *_ in PARTS if name in names
               and name not in [part.name for part in parts]]
    result = verdict(parts)
    if missing:
        left = f"not run for want of time: {', '.join(missing)}"
        required = {name for name, *_, gates in PARTS if gates} - {"i"}
        if required & set(missing):
            result = f"{result}; {left}" if result != "PASS" else f"FAIL: {left}"
    return lines, result


def report(folder, bench, parts, names, started):
    """Writes what is known by now."""
    lines, result = summary(bench, parts, names)
    text = [f"# GPU run of {datetime.datetime.now():%Y-%m-%d %H:%M}, device {bench.device}", ""]
    text += [f"- {line}" for line in lines if not line.startswith("|")]
    text += ["", *[line for line in lines if line.startswith("|")], ""]
    for part in parts:
        text += [f"## {part.summary()}", "", "```", *part.lines, "```", ""]
    (folder / "gpu.md").write_text("\n".join([*text, f"verdict: {result}", ""]))
    (folder / "gpu.json").write_text(json.dumps(
        {"verdict": result, "device": bench.device, "facts": bench.facts,
         "seconds": round(time.monotonic() - started, 1), "bits": bench.bits,
         "budgets": bench.budget_lines, "table": bench.table,
         "parts": [part.json() for part in parts]}, indent=1, default=str))
    return lines, result


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=pathlib.Path,
                        default=ROOT / "bench" / "results" / "gpu")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build" / "release" / "bin")
    parser.add_argument("--jobs", type=int, default=max(1, min(6, os.cpu_count() or 1)))
    parser.add_argument("--parts", default="abcdefghi", help="letters of the parts to run")
    parser.add_argument("--seconds", type=float, default=355, help="time for all of it")
    parser.add_argument("--python", default=sys.executable,
                        help="the Python with PyTorch that accrue is compared with")
    return parser.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    started = time.monotonic()
    folder = args.folder
    folder.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="accrue-gpu-"))
    log = Log(folder / "gpu.log")
    parts = []
    try:
        bench = Bench(args, work)
        for name, title, function, gpu, cpu, gates in PARTS:
            left = args.seconds - (time.monotonic() - started)
            if name not in args.parts or left < 5:
                continue
            print(f"({name}) {title}", flush=True)
            part = Part(name, title, min(gpu if bench.gpu else cpu, left), log, gates,
                        functools.partial(print, flush=True))
            parts.append(part)
            part.finish(function, bench)
            print(part.summary(), flush=True)
            report(folder, bench, parts, args.parts, started)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    lines, result = report(folder, bench, parts, args.parts, started)
    print("\n".join(["", *lines, f"{time.monotonic() - started:.0f} s in all",
                     f"verdict: {result}"]), flush=True)
    return 0 if result == "PASS" else 1


if __name__ == "__main__":
    sys.exit(main())
