"""The law, down to the bits: nothing physical shows in the final weights."""

import hashlib
import itertools
import json
import os
import re
import unittest

from support import GPT2, LLAMA, SOURCE, CliTest

# Final weights of runs, the same on every CPU. ACCRUE_RECORD_BITS=1 writes them anew, where a
# change of numerics is meant.
RECORDED = SOURCE / "tests" / "cli" / "bits.json"


class Runs(CliTest):
    """Runs that are compared by the digest of what they end with."""

    def digest(self, micro_batch, threads, *extra):
        self.runs = getattr(self, "runs", 0) + 1
        out = f"out-{self.runs}"
        self.train(
            out, "--micro-batch", micro_batch, "--threads", threads, "--global-batch", 64,
            "--steps", 5, "--dropout", 0.1, "--warmup-steps", 2, *extra)
        metrics = [(m["loss"], m["grad_norm"]) for m in self.metrics(out)]
        self.assertEqual(len(metrics), 5)
        if "fp64" in extra:  # whose loss sums are rounded in the order of the split
            metrics = []
        return hashlib.sha256(self.model_bytes(out)).hexdigest(), metrics


class BitsTest(Runs):
    def check(self, dtype, packing):
        for model in (self.gpt2, self.llama):
            data = self.text if packing == "on" else self.ragged
            extra = ["--model", model, "--data", data, "--dtype", dtype, "--packing", packing]
            want = self.digest(1, 1, *extra)
            for micro_batch, threads in itertools.product((1, 2, 3, 5, 8, 16, 64), (1, 2)):
                with self.subTest(model=model, micro_batch=micro_batch, threads=threads):
                    self.assertEqual(self.digest(micro_batch, threads, *extra), want)
            # Control: the digest does see what decides the result.
            self.assertNotEqual(self.digest(1, 1, *extra, "--seed", 2)[0], want[0])

    def test_fp32_packed(self):
        self.check("fp32", "on")

    def test_fp32_ragged(self):
        self.check("fp32", "off")

    def test_fp32_documents_kept_apart(self):
        self.check("fp32", "documents")

    def test_bf16_packed(self):
        self.check("bf16", "on")

    def test_bf16_ragged(self):
        self.check("bf16", "off")

    def test_fp64_ragged(self):
        self.check("fp64", "off")

    def test_skipping_does_not_change_what_needs_none(self):
        want = self.digest(1, 1)
        self.assertEqual(self.digest(5, 2, "--on-nonfinite", "skip"), want)

    def test_verify_sees_equal_bits(self):
        done = self.run_accrue(
            "verify", *self.train_args("verify", "--data", self.ragged, "--packing", "off")[1:])
        self.assertRegex(done.stdout, r"bits equal in (\d+) of \1 tensors")


class AcrossCpusTest(Runs):
    """A laptop repeats a server's run to the byte."""

    def instruction_sets(self):
        self.env["ACCRUE_ISA"] = "?"
        listed = self.run_accrue("--version", expect=2)
        names = re.search(r"It has: ([\w, ]+)\.", listed.stderr).group(1).split(", ")
        versions = {}
        for name in names:
            self.env["ACCRUE_ISA"] = name
            versions[name] = self.run_accrue("--version").stdout
            self.assertRegex(versions[name], rf"instruction set +{name}\b")
        return {name: "no fused multiply-add" not in text for name, text in versions.items()}

    def check(self, name, *flags):
        """Also LibTorch's own operators are held to less than this CPU has, in every other run."""
        recorded = json.loads(RECORDED.read_text())
        recording = os.environ.get("ACCRUE_RECORD_BITS")
        want = None if recording else recorded[name]
        for isa, fused in self.instruction_sets().items():
            self.env["ACCRUE_ISA"] = isa
            splits = itertools.product((1, 3, 16), (1, 2)) if fused else [(3, 2)]
            for micro_batch, threads in splits:
                self.env["ATEN_CPU_CAPABILITY"] = "default" if threads == 1 else ""
                with self.subTest(isa=isa, micro_batch=micro_batch, threads=threads):
                    digest, _ = self.digest(
                        micro_batch, threads, "--data", self.ragged, "--packing", "off", *flags)
                    want = want or digest
                    if fused:
                        self.assertEqual(digest, want)
                    else:  # control: rounding products apart does show
                        self.assertNotEqual(digest, want)
        if recording:
            RECORDED.write_text(json.dumps(recorded | {name: want}, indent=1) + "\n")

    def test_gpt2_fp32(self):
        self.check("gpt2 fp32", "--model", self.gpt2, "--dtype", "fp32")

    def test_gpt2_bf16(self):
        self.check("gpt2 bf16", "--model", self.gpt2, "--dtype", "bf16")

    def test_llama_fp32(self):
        self.check("llama fp32", "--model", self.llama, "--dtype", "fp32")

    def test_llama_bf16(self):
        self.check("llama bf16", "--model", self.llama, "--dtype", "bf16")

    def test_qwen3_bf16(self):
        config = LLAMA | {"model_type": "qwen3", "head_dim": 8, "rope_theta": 1e6}
        model = self.write("qwen3.json", json.dumps(config))
        self.check("qwen3 bf16", "--model", model, "--dtype", "bf16")

    def test_sgd_with_decay_on_exact_gelu(self):
        model = self.write("gelu.json", json.dumps(GPT2 | {"activation_function": "gelu"}))
        self.check("sgd", "--model", model, "--optimizer", "sgd", "--weight-decay", 0.1)

    def test_adapters_bf16(self):
        self.train("base", "--steps", 1)
        self.check("adapters bf16", "--model", self.path("base/model"), "--dtype", "bf16",
                   "--lora-rank", 2, "--merge", "--schedule", "cosine")


if __name__ == "__main__":
    unittest.main()
