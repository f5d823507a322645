import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from support import ACCRUE, CliTest


class CommandsTest(CliTest):
    def common(self):
        return ["--model", self.llama, "--data", self.text, "--seq-len", 32,
                "--global-batch", 12, "--threads", 1]

    def test_help_teaches_and_shows_defaults(self):
        self.assertIn("--global-batch 64", self.run_accrue("--help").stdout)
        for command in ("train", "plan", "verify"):
            text = self.run_accrue(command, "--help").stdout
            for part in ("--global-batch N", "--memory SIZE", "--lr X", "[0.0003]",
                         "--dtype fp32|fp64|bf16", "[fp32]"):
                self.assertIn(part, text)
        self.assertIn("--temperature", self.run_accrue("generate", "--help").stdout)
        self.assertIn("DIR", self.run_accrue("report", "--help").stdout)

    def version(self, **env):
        self.env.update(env)
        return dict(line.split(maxsplit=1)
                    for line in self.run_accrue("--version").stdout.splitlines())

    def test_version_says_what_runs(self):
        self.assertRegex(self.run_accrue("--version").stdout, r"^accrue \d+\.\d+\.\d+\n")
        version, path = self.version()["LibTorch"].split(", ")
        self.assertRegex(version, r"^\d+\.\d+\.\d+")
        self.assertRegex(path, r"^/.*libtorch_cpu")
        self.assertTrue(os.path.exists(path))

    def test_waiting_threads_spin_shortly_unless_the_user_says_how(self):
        for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
            self.env.pop(name, None)

        def spins(**env):
            done = subprocess.run(
                [ACCRUE, "--version"], capture_output=True, text=True, check=True,
                env=dict(self.env, OMP_DISPLAY_ENV="verbose", **env))
            self.assertTrue(done.stdout.startswith("accrue "), done.stdout)
            found = re.search(r"GOMP_SPINCOUNT = '(\w+)'", done.stderr)
            return found and found[1]

        program = pathlib.Path(ACCRUE).read_bytes()
        if spins() is None or b"__asan_init" in program or b"__tsan_init" in program:
            self.skipTest("not GNU's OpenMP runtime, or built with sanitizers")
        by_the_runtime = spins(KMP_BLOCKTIME="1")
        self.assertLess(int(spins()), int(by_the_runtime))
        self.assertEqual(spins(GOMP_SPINCOUNT="77"), "77")
        self.assertEqual(spins(OMP_WAIT_POLICY="passive"), "0")

    def test_threads_follow_the_affinity_mask_and_the_environment(self):
        self.assertLessEqual(int(self.version()["threads"]), len(os.sched_getaffinity(0)))
        self.assertEqual(self.version(OMP_NUM_THREADS="3")["threads"], "3")
        del self.env["OMP_NUM_THREADS"]
        before = os.sched_getaffinity(0)
        self.addCleanup(os.sched_setaffinity, 0, before)
        os.sched_setaffinity(0, {min(before)})
        self.assertEqual(self.version()["threads"], "1")

    def test_unknown_commands_and_flags(self):
        self.assert_error(self.run_accrue("trian", expect=2), "trian")
        self.run_accrue(expect=2)
        self.assert_error(self.run_accrue("generate", "--prompt", "x", expect=2), "--model")
        self.assert_error(self.run_accrue("report", expect=2), "one run directory")
        self.assert_error(self.run_accrue("report", self.path("none"), expect=3), "none")

    def test_plan_shows_what_fits(self):
        done = self.run_accrue("plan", *self.common(), "--memory", "2GiB")
        for part in ("parameters", "optimizer state", "micro-batch", "chosen"):
            self.assertIn(part, done.stdout)
        done = self.run_accrue("plan", *self.common(), "--memory", "2GiB", "--json")
        plan = json.loads(done.stdout)
        self.assertEqual(plan["optimizer_bytes"], 2 * plan["parameter_bytes"])
        self.assertEqual(plan["parameter_bytes"], 4 * plan["num_parameters"])
        self.assertTrue(any(row["chosen"] for row in plan["rows"]))
        self.run_accrue("plan", *self.common(), "--memory", "60MiB", expect=4)

    def test_verify_passes_and_reports_every_tensor(self):
        for dtype in ("fp32", "fp64", "bf16"):
            done = self.run_accrue("verify", *self.common(), "--micro-batch", 5,
                                   "--dtype", dtype, "--dropout", 0.1, "--json")
            result = json.loads(done.stdout)
            self.assertTrue(result["passed"])
            self.assertEqual([c["reference"] for c in result["checks"]],
                             ["unsplit", "per sample"])
            tensor = result["checks"][0]["tensors"][0]
            self.assertLessEqual(tensor["relative_error"], tensor["gate"])
            self.assertIn("bits_equal", tensor)
        done = self.run_accrue("verify", *self.common(), "--micro-batch", 5)
        self.assertIn("passed", done.stdout)

    def test_generate(self):
        self.train("run", "--steps", 30, "--lr", "1e-2")
        ask = ["generate", "--model", self.path("run/model"), "--prompt", "the whale",
               "--max-tokens", 40]
        first = self.run_accrue(*ask).stdout
        self.assertTrue(first.startswith("the whale"))
        self.assertEqual(first, self.run_accrue(*ask).stdout)
        self.assertNotEqual(first, self.run_accrue(*ask, "--seed", 1).stdout)
        greedy = [*ask, "--temperature", 0]
        self.assertEqual(self.run_accrue(*greedy).stdout,
                         self.run_accrue(*greedy, "--seed", 1).stdout)
        answer = json.loads(self.run_accrue(*ask, "--json").stdout)
        self.assertEqual(answer["prompt"], "the whale")
        # A checkpoint is a model folder as well.
        self.run_accrue("generate", "--model", self.path("run/checkpoints/step-30"),
                        "--max-tokens", 3)

    def test_generate_needs_weights(self):
        folder = self.folder / "bare"
        folder.mkdir()
        shutil.copy(self.gpt2, folder / "config.json")
        done = self.run_accrue("generate", "--model", folder, expect=3)
        self.assert_error(done, "holds no weights")

    def test_report_is_rebuilt(self):
        self.train("run", "--steps", 2)
        page = self.folder / "run" / "report.html"
        want = page.read_text()
        page.unlink()
        self.run_accrue("report", self.path("run"))
        self.assertEqual(page.read_text(), want)


if __name__ == "__main__":
    unittest.main()
