"""Training on a device whose sums are made by grain: a GPU, or the portable operations.

ACCRUE_TEST_DEVICE=cuda runs these tests on a GPU; without it they run on the CPU.
"""

import pathlib
import re
import unittest

from support import DEVICE, CliTest

ALL = 24  # samples of a global batch


class DeviceTest(CliTest):
    def setUp(self):
        super().setUp()
        if not DEVICE:
            self.env["ACCRUE_BACKEND"] = "portable"

    def bytes_of(self, out, *flags):
        self.train(out, "--data", self.ragged, "--packing", "off", "--global-batch", ALL,
                   "--steps", 4, "--dropout", 0.1, *flags)
        return self.model_bytes(out)

    def check(self, model, dtype):
        flags = ("--model", model, "--dtype", dtype)
        grain = ("--grain-tokens", 64)
        want = self.bytes_of("out-1", *flags, *grain, "--micro-batch", 1)
        for micro_batch in (2, 3, 8, ALL):
            with self.subTest(micro_batch=micro_batch):
                got = self.bytes_of(
                    f"out-{micro_batch}", *flags, *grain, "--micro-batch", micro_batch)
                self.assertTrue(got == want)
        # Control: the grains do decide the bits.
        other = self.bytes_of("other", *flags, "--grain-tokens", 160, "--micro-batch", 8)
        self.assertFalse(other == want)

    def test_bits_of_gpt2(self):
        self.check(self.gpt2, "fp32")

    def test_bits_of_llama(self):
        self.check(self.llama, "fp32")

    def test_bits_of_llama_in_bf16(self):
        self.check(self.llama, "bf16")

    def test_another_name_of_a_device_is_refused_with_all_other_problems(self):
        for name in ("gpu", "cuda:x"):
            done = self.train("out", "--device", name, "--lr", -1, "--steps", 1, expect=2)
            self.assert_error(
                done, "problems:", f'--device must be cpu, cuda or cuda:N, got "{name}"',
                "--lr must be in [0, inf), got -1")
            self.assertFalse((self.folder / "out").exists())

    def test_without_a_gpu_the_message_says_what_is_missing(self):
        version = self.run_accrue("--version").stdout
        torch = pathlib.Path(re.search(r"(/\S+)/libtorch_cpu\.so", version).group(1))
        args = self.train_args("out", "--device", "cuda", "--steps", 1)
        if not (torch / "libtorch_cuda.so").exists():
            done = self.run_accrue(*args, expect=2)
            self.assert_error(done, "[device]", "is a CPU build", "ACCRUE_TORCH=",
                              "leave --device out to train on the CPU")
        elif not list(pathlib.Path("/dev").glob("nvidia[0-9]*")):
            done = self.run_accrue(*args, expect=2)
            self.assert_error(done, "[device]", "driver", "leave --device out")
        else:
            self.skipTest("there is a GPU")
        self.assertFalse((self.folder / "out").exists())

    @unittest.skipIf(DEVICE, "both backends are those of the CPU")
    def test_a_run_that_goes_on_elsewhere_warns_that_its_bits_differ(self):
        del self.env["ACCRUE_BACKEND"]
        self.train("out", "--steps", 2)
        done = self.run_accrue("train", "--out", self.path("out"), "--resume", "--steps", 3)
        self.assertNotIn("its bits are not those of", done.stdout + done.stderr)
        self.env["ACCRUE_BACKEND"] = "portable"
        done = self.run_accrue("train", "--out", self.path("out"), "--resume", "--steps", 4)
        self.assertIn("its bits are not those of", done.stdout + done.stderr)
        self.assertIn('made with "cpu", the run goes on with "portable"',
                      done.stdout + done.stderr)
        self.assertEqual([m["step"] for m in self.metrics("out")], [1, 2, 3, 4])

    def test_eval_and_generate_take_a_device(self):
        self.train("out", "--steps", 2)
        model = self.path("out/model")
        texts = []
        for device in {"cpu", DEVICE or "cpu"}:
            evaluated = self.run_accrue(
                "eval", "--model", model, "--data", self.text, "--device", device)
            self.assertRegex(evaluated.stdout, r"perplexity +\d")
            texts.append(self.run_accrue(
                "generate", "--model", model, "--prompt", "the whale", "--max-tokens", 4,
                "--device", device).stdout)
        self.assertTrue(all(texts))
        done = self.run_accrue("eval", "--model", model, "--data", self.text, "--device", "gpu",
                               expect=2)
        self.assert_error(done, "cpu, cuda or cuda:N", '"gpu"')


if __name__ == "__main__":
    unittest.main()
