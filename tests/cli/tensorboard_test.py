"""Event files beside TensorBoard's own reader.

Needs tensorboard; skips without it.
"""

import json
import math
import signal
import socket
import struct
import subprocess
import unittest

from support import ACCRUE, CliTest

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
except ImportError as error:
    MISSING = str(error)
else:
    MISSING = ""

# Where a curve's values stand in metrics.jsonl.
CURVES = {
    "train/loss": "loss", "train/grad_norm": "grad_norm", "train/lr": "lr",
    "train/tokens_per_s": "tokens_per_s", "train/step_s": "step_s",
    "train/reward_margin": "reward_margin", "train/reward_accuracy": "reward_accuracy",
    "train/skipped": "skipped", "train/rollbacks": "rollbacks", "valid/loss": "valid_loss",
    "valid/reward_margin": "valid_reward_margin",
    "valid/reward_accuracy": "valid_reward_accuracy",
    "memory/peak_bytes": "peak_bytes", "memory/resident_peak_bytes": "resident_peak_bytes"}


def rounded(number):
    """To fp32, which curves have; null is NaN."""
    return struct.unpack("f", struct.pack("f", math.nan if number is None else number))[0]


@unittest.skipIf(MISSING, f"no tensorboard ({MISSING})")
class TensorboardTest(CliTest):
    def curves(self, out):
        """Tag to (step, value), as TensorBoard reads them from the folder."""
        reader = EventAccumulator(self.path(f"{out}/tensorboard")).Reload()
        return {tag: [(event.step, event.value) for event in reader.Scalars(tag)]
                for tag in reader.Tags()["scalars"]}

    def want(self, out):
        want = {}
        for metrics in self.metrics(out):
            for tag, field in CURVES.items():
                if field in metrics and not (
                        field in ("skipped", "rollbacks") and metrics[field] == 0):
                    want.setdefault(tag, []).append((metrics["step"], rounded(metrics[field])))
        return want

    def assert_same(self, out, *tags):
        """The file says what metrics.jsonl says; `tags` are among its curves."""
        got, want = self.curves(out), self.want(out)
        self.assertEqual(repr(sorted(got.items())), repr(sorted(want.items())))  # nan is nan
        self.assertLessEqual(set(tags), set(got))
        return got

    def event_file(self, out):
        file, = (self.folder / out / "tensorboard").iterdir()
        return file

    def resume(self, out, *extra):
        return self.run_accrue("train", "--out", self.path(out), "--resume", *extra)

    def start(self, *extra):
        """A long run that has done five steps."""
        process = subprocess.Popen(
            [ACCRUE, *map(str, self.train_args("run", "--steps", 4000, "--tensorboard", *extra))],
            env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        path = self.folder / "run/metrics.jsonl"
        self.until(lambda: path.exists() and path.read_text().count("\n") >= 5, process)
        return process

    def test_curves_are_those_of_the_metrics(self):
        self.train("run", "--steps", 5, "--tensorboard", "--eval-every", 2,
                   "--valid-fraction", 0.2, "--schedule", "cosine")
        got = self.assert_same("run", "train/lr", "memory/peak_bytes")
        self.assertEqual([step for step, _ in got["train/loss"]], [1, 2, 3, 4, 5])
        self.assertEqual([step for step, _ in got["valid/loss"]], [2, 4, 5])
        self.assertRegex(self.event_file("run").name, r"^events\.out\.tfevents\.\d{10}\."
                         + socket.gethostname().replace(".", r"\.") + r"\.accrue$")
        self.train("plain", "--steps", 1)
        self.assertFalse((self.folder / "plain/tensorboard").exists())

    def test_the_page_of_scalars_has_them(self):
        """Without metadata of a plugin TensorBoard knows what they are."""
        self.train("run", "--steps", 2, "--tensorboard")
        reader = EventMultiplexer().AddRunsFromDirectory(self.path("run")).Reload()
        runs = reader.PluginRunToTagToContent("scalars")
        self.assertEqual({run: set(tags) for run, tags in runs.items()},
                         {"tensorboard": set(self.want("run"))})

    def test_preferences(self):
        pairs = self.write("pairs.jsonl", "".join(json.dumps(
            {"prompt": f"{i}?", "chosen": " yes", "rejected": " no, no"}) + "\n"
            for i in range(24)))
        self.train("run", "--steps", 3, "--tensorboard", "--objective", "dpo", "--data", pairs,
                   "--packing", "off", "--chat-template", "plain", "--valid", pairs)
        self.assert_same("run", "train/reward_margin", "train/reward_accuracy",
                         "valid/reward_margin", "valid/reward_accuracy")

    def test_what_is_not_finite_is_nan(self):
        self.train("run", "--steps", 3, "--lr", "1e30", "--clip-norm", 0, "--weight-decay", 0,
                   "--on-nonfinite", "skip", "--tensorboard")
        got = self.assert_same("run")
        self.assertTrue(math.isnan(got["train/loss"][1][1]))
        self.assertEqual(got["train/skipped"], [(2, 12), (3, 12)])

    def test_a_killed_run_goes_on_with_its_file(self):
        process = self.start("--checkpoint-every", 3)
        process.kill()
        process.wait(60)
        written = len(self.metrics("run"))
        self.assertIn(len(self.curves("run")["train/loss"]), (written - 1, written))
        steps = written + 4
        self.resume("run", "--steps", steps)
        got = self.assert_same("run")
        self.assertEqual([step for step, _ in got["train/loss"]], list(range(1, steps + 1)))

    def test_an_interrupted_run_goes_on_with_its_file(self):
        process = self.start()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), 130)
        self.assert_same("run")
        self.resume("run", "--steps", len(self.metrics("run")) + 2)
        self.assert_same("run")

    def test_a_run_begun_without_it_gets_all_its_steps(self):
        self.train("run", "--steps", 3)
        self.resume("run", "--steps", 3, "--tensorboard")  # nothing is left to do
        got = self.assert_same("run")
        self.assertEqual(len(got["train/loss"]), 3)
        self.resume("run", "--steps", 5)  # config.toml has it
        self.assertEqual(len(self.assert_same("run")["train/loss"]), 5)

    def test_times_do_not_go_back(self):
        self.train("run", "--steps", 3, "--tensorboard")
        self.resume("run", "--steps", 5)
        reader = EventAccumulator(self.path("run/tensorboard")).Reload()
        times = [event.wall_time for event in reader.Scalars("train/loss")]
        self.assertEqual(times, sorted(times))

    def test_control_a_flipped_byte_is_noticed(self):
        self.train("run", "--steps", 4, "--tensorboard")
        file = self.event_file("run")
        data = bytearray(file.read_bytes())
        value = data.rindex(b"train/loss") + len(b"train/loss") + 2
        data[value] ^= 1
        file.write_bytes(data)
        # The reader stops before the record.
        self.assertEqual(len(self.curves("run")["train/loss"]), 3)
        with self.assertRaises(AssertionError):
            self.assert_same("run")

    def test_a_file_in_the_way_is_said(self):
        self.train("run", "--steps", 1)
        self.write("run/tensorboard", "")
        done = self.train("run", "--steps", 2, "--tensorboard", "--resume", expect=3)
        self.assert_error(done, f"cannot create the folder {self.path('run/tensorboard')}")


if __name__ == "__main__":
    unittest.main()
