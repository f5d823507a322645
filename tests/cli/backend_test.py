"""Training on operations that any device has."""

import unittest

from support import CliTest


class BackendTest(CliTest):
    def losses(self, backend, *flags):
        self.env["ACCRUE_BACKEND"] = backend
        self.train(f"out-{backend}", "--steps", 4, *flags)
        return [m["loss"] for m in self.metrics(f"out-{backend}")]

    def check(self, model, *flags):
        flags = ("--model", model, "--dropout", 0.1, *flags)
        want = self.losses("cpu", *flags)
        got = self.losses("portable", *flags)
        self.assertEqual(len(got), 4)
        for a, b in zip(got, want):
            self.assertLess(abs(a / b - 1), 1e-5)
        # Control: other masks, other losses.
        self.env["ACCRUE_BACKEND"] = "portable"
        self.train("other", "--steps", 4, *flags, "--seed", 2)
        other = [m["loss"] for m in self.metrics("other")]
        self.assertGreater(abs(other[-1] / want[-1] - 1), 1e-5)

    def test_losses_of_gpt2_are_those_of_the_cpu_backend(self):
        self.check(self.gpt2)

    def test_losses_of_llama_are_those_of_the_cpu_backend(self):
        self.check(self.llama)

    def test_version_names_the_backend(self):
        for backend in ("cpu", "portable"):
            self.env["ACCRUE_BACKEND"] = backend
            self.assertRegex(self.run_accrue("--version").stdout, rf"backend +{backend}\n")

    def test_an_unknown_backend_is_refused_with_the_names(self):
        self.env["ACCRUE_BACKEND"] = "cuda"
        for arguments in (["--version"], self.train_args("out")):
            self.assert_error(
                self.run_accrue(*arguments, expect=2),
                'there is no backend "cuda"', "cpu or portable")


if __name__ == "__main__":
    unittest.main()
