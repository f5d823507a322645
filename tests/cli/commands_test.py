import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import unittest

from support import ACCRUE, SANITIZED, CliTest


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

    @unittest.skipIf(SANITIZED, "another OpenMP runtime, or slow threads")
    def test_waiting_threads_sleep_soon_while_others_want_the_cores(self):
        """GNU's runtime lets threads sleep soon if it has more of them than there are cores."""
        done = self.run_accrue("--version", env=dict(self.env, OMP_DISPLAY_ENV="verbose"))
        if "GOMP_SPINCOUNT" not in done.stderr:
            self.skipTest("not GNU's OpenMP runtime")
        cores = len(os.sched_getaffinity(0))
        counted = pathlib.Path("/proc/self/schedstat")
        if cores == 1 or int(self.version()["threads"]) < cores or not (
                counted.exists() and counted.read_text().split()[0] != "0"):
            self.skipTest("one core, a quota of them, or a system that does not count")
        for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_THREAD_LIMIT"):
            self.env.pop(name, None)

        def start(command, **env):
            child = subprocess.Popen(list(map(str, command)), env=dict(self.env, **env),
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.addCleanup(child.wait)
            self.addCleanup(child.kill)
            return child

        def train(out, **env):
            child = start([ACCRUE, "train", *self.common()[:-1], cores, "--steps", 10**6,
                           "--checkpoint-every", 10**6, "--out", self.path(out)], **env)
            self.until((self.folder / out / "metrics.jsonl").exists, child)
            return child

        def asleep(child):
            count = 0
            for task in pathlib.Path(f"/proc/{child.pid}/task").iterdir():
                try:
                    count += (task / "comm").read_text() == "accrue-asleep\n"
                except OSError:  # has just ended
                    pass
            return count

        pause = 0.05  # looking takes time of a core, too

        def until_awake(child):
            try:
                self.until(lambda: asleep(child) == 0, child, pause)
            except AssertionError:
                if os.getloadavg()[0] > cores + 0.7:
                    self.skipTest("other programs want the cores")
                raise

        child = train("alone")
        until_awake(child)
        others = [start([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
        self.until(lambda: asleep(child) > 0, child, pause)
        # Control: the user has chosen.
        for name, value in (("GOMP_SPINCOUNT", "77"), ("OMP_WAIT_POLICY", "passive")):
            chosen = train(name, **{name: value})
            time.sleep(1)
            self.assertEqual(asleep(chosen), 0)
            chosen.kill()
        self.until(lambda: asleep(child) > 0, child, pause)
        for other in others:
            other.kill()
        until_awake(child)
        self.assertIsNone(child.poll())

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
        self.assertTrue(done.stdout.startswith("passed: micro-batch 5"), "the verdict comes first")
        self.assertIn("the worst 5 of 20 tensors", done.stdout)
        every = self.run_accrue("verify", *self.common(), "--micro-batch", 5, "--all").stdout
        self.assertEqual(every.count("layers.1.mlp.down_proj.weight"), 2)

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
