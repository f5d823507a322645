"""Runs the program as its users do."""

import json
import os
import pathlib
import random
import subprocess
import tempfile
import time
import unittest

ACCRUE = os.environ["ACCRUE"]
SOURCE = pathlib.Path(os.environ["ACCRUE_SOURCE"])
# A sanitizer takes time, and keeps freed memory for a while.
SANITIZED = "ACCRUE_SANITIZE" in os.environ
PATIENCE = 10 if SANITIZED else 1
# Where the commands that have --device run, such as "cuda"; empty: where they do by default.
DEVICE = os.environ.get("ACCRUE_TEST_DEVICE", "")

GPT2 = {"model_type": "gpt2", "vocab_size": 256, "n_positions": 64, "n_embd": 32,
        "n_layer": 2, "n_head": 2}
LLAMA = {"model_type": "llama", "vocab_size": 256, "max_position_embeddings": 64,
         "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2,
         "tie_word_embeddings": True}

WORDS = "the whale and a sea of men who sail on ship after ship into night".split()


def prose(words, seed=1):
    """Text with something to learn: few words, in random order."""
    pick = random.Random(seed)
    return " ".join(pick.choice(WORDS) for _ in range(words))


def on_test_device(args):
    """Arguments of the program with the device of the tests, unless they name one. Grains
    there are single samples, as on a CPU: tests count micro-batches."""
    args = list(map(str, args))
    flags = {"train": ("--device", "--grain-tokens"), "plan": ("--device", "--grain-tokens"),
             "verify": ("--device", "--grain-tokens"), "eval": ("--device",),
             "generate": ("--device",)}.get(args[0] if args else "", ())
    if DEVICE and "--help" not in args:
        for flag, value in zip(flags, (DEVICE, "1")):
            if flag not in args:
                args += [flag, value]
    return args


class CliTest(unittest.TestCase):
    """A folder per test, with a tiny model of each family and some text."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="accrue-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.env = dict(os.environ, XDG_CACHE_HOME=str(self.folder / "cache"))
        self.gpt2 = self.write("gpt2.json", json.dumps(GPT2))
        self.llama = self.write("llama.json", json.dumps(LLAMA))
        self.text = self.write("text.txt", prose(3000))
        self.ragged = self.write("ragged.jsonl", "".join(
            json.dumps({"text": prose(1 + (i * 5) % 23, seed=i)}) + "\n"
            for i in range(60)))

    def write(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def path(self, name):
        return str(self.folder / name)

    def until(self, condition, process, pause=0.002):
        """Waits for a condition that the process, which goes on, brings about."""
        deadline = time.monotonic() + 120 * PATIENCE
        while not condition():
            self.assertIsNone(process.poll(), "the process ended before")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(pause)

    def run_accrue(self, *args, expect=0, **kwargs):
        kwargs.setdefault("env", self.env)
        args = on_test_device(args)
        done = subprocess.run(
            [ACCRUE, *args], capture_output=True, text=True,
            errors="replace", timeout=300 * PATIENCE, **kwargs)
        self.assertEqual(
            done.returncode, expect,
            f"\n$ accrue {' '.join(args)}\n{done.stdout}\n{done.stderr}")
        return done

    def train_args(self, out, *extra):
        """Small defaults; what `extra` gives replaces them."""
        args = {"--model": self.gpt2, "--data": self.text, "--seq-len": 32,
                "--global-batch": 12, "--micro-batch": 4, "--out": self.path(out),
                "--threads": 1}
        given = [arg for arg in extra if arg in args]
        kept = [part for flag, value in args.items() if flag not in given
                for part in (flag, value)]
        return on_test_device(["train", *kept, *extra])

    def train(self, out, *extra, expect=0):
        return self.run_accrue(*self.train_args(out, *extra), expect=expect)

    def metrics(self, out):
        lines = (self.folder / out / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def model_bytes(self, out):
        return (self.folder / out / "model" / "model.safetensors").read_bytes()

    def assert_error(self, done, *parts):
        self.assertTrue(done.stderr.startswith("error: ["), done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)
