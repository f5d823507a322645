import json
import os
import shutil
import signal
import socket
import subprocess
import time
import unittest

from support import ACCRUE, CliTest, prose


class ResumeTest(CliTest):
    def straight(self, *extra):
        self.train("straight", "--steps", 10, *extra)
        return self.model_bytes("straight")

    def resume(self, out, *extra, expect=0):
        return self.run_accrue("train", "--out", self.path(out), "--resume", *extra,
                               expect=expect)

    def test_five_and_five_steps_are_ten(self):
        extra = ["--dropout", 0.1, "--warmup-steps", 3]
        want = self.straight(*extra)
        self.train("run", "--steps", 5, *extra)
        self.assertNotEqual(self.model_bytes("run"), want)
        done = self.resume("run", "--steps", 10)
        self.assertIn("resuming after step 5", done.stdout)
        self.assertEqual(self.model_bytes("run"), want)
        self.assertEqual([m["step"] for m in self.metrics("run")], list(range(1, 11)))

    def test_resume_with_all_flags_given_again(self):
        want = self.straight()
        self.train("run", "--steps", 5)
        self.train("run", "--steps", 10, "--resume")
        self.assertEqual(self.model_bytes("run"), want)

    def test_resume_from_another_folder(self):
        args = self.train_args("run", "--steps", 2, "--data", "text.txt", "--model",
                               "gpt2.json", "--out", "run")
        self.run_accrue(*args, cwd=self.folder)
        self.run_accrue("train", "--out", "run", "--resume", "--steps", 4, "--data",
                        "./text.txt", cwd=self.folder)
        self.resume("run", "--steps", 6)
        self.assertEqual(len(self.metrics("run")), 6)

    def test_resume_of_a_finished_run_changes_nothing(self):
        want = self.straight()
        done = self.resume("straight")
        self.assertIn("nothing left to do", done.stdout)
        self.assertEqual(self.model_bytes("straight"), want)

    def start(self, out, *extra, stderr=subprocess.DEVNULL):
        process = subprocess.Popen(
            [ACCRUE, *map(str, self.train_args(out, *extra))], env=self.env,
            stdout=subprocess.DEVNULL, stderr=stderr)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def wait_for_steps(self, out, steps, process):
        path = self.folder / out / "metrics.jsonl"
        self.until(lambda: path.exists() and path.read_text().count("\n") >= steps, process)

    def test_signals_finish_the_window_and_save(self):
        steps = 4000
        for name, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            out = f"run{code}"
            process = self.start(out, "--steps", steps)
            self.wait_for_steps(out, 2, process)
            process.send_signal(name)
            self.assertEqual(process.wait(60), code)
            done = len(self.metrics(out))
            self.assertLess(done, steps)
            self.assertTrue((self.folder / out / f"checkpoints/step-{done}").exists())
            self.assertTrue((self.folder / out / "report.html").exists())
            self.resume(out, "--steps", done + 2)
            self.train(f"straight{code}", "--steps", done + 2)
            self.assertEqual(self.model_bytes(out), self.model_bytes(f"straight{code}"))

    def test_time_over_saves_and_goes_on_to_the_same_bits(self):
        steps = 6
        self.train("straight", "--steps", steps, "--schedule", "cosine", "--lr", 1e-2)
        # Reading the model alone takes longer: one window each time.
        limit = ["--max-time", "0.001s"]
        done = self.train("run", "--steps", steps, "--schedule", "cosine", "--lr", 1e-2, *limit)
        self.assertIn(f"stopped by --max-time after step 1 of {steps}; go on with: "
                      f"accrue train --out {self.path('run')} --resume", done.stdout)
        self.assertTrue((self.folder / "run/checkpoints/step-1").exists())
        self.assertEqual(self.model_bytes("run"), (
            self.folder / "run/checkpoints/step-1/model.safetensors").read_bytes())
        self.assertNotIn("max_time", (self.folder / "run/config.toml").read_text())
        done = self.resume("run", "--json", *limit)
        summary = json.loads(done.stdout.splitlines()[-1])["summary"]
        self.assertEqual((summary["steps"], summary["total_steps"]), (2, steps))
        self.assertEqual((summary["out_of_time"], summary["interrupted"]), (True, False))
        self.assertIn("--resume", summary["go_on"])
        self.resume("run", "--max-time", "1h30m", "--micro-batch", 3)
        self.assertEqual(self.model_bytes("run"), self.model_bytes("straight"))
        self.assertEqual([m["step"] for m in self.metrics("run")], list(range(1, steps + 1)))

    def test_time_enough_is_as_without(self):
        done = self.train("run", "--steps", 2, "--max-time", "1h", "--json")
        summary = json.loads(done.stdout.splitlines()[-1])["summary"]
        self.assertEqual((summary["out_of_time"], summary["go_on"]), (False, None))

    def test_killed_run_continues_from_its_last_checkpoint(self):
        process = self.start("run", "--steps", 4000, "--checkpoint-every", 2)
        self.wait_for_steps("run", 5, process)
        process.kill()
        process.wait(60)
        done = self.resume("run", "--steps", 10) if len(self.metrics("run")) < 10 else None
        if done is None:
            self.skipTest("the machine was too fast to be killed in time")
        self.assertEqual(self.model_bytes("run"), self.straight())

    def damaged_run(self):
        self.train("run", "--steps", 6, "--checkpoint-every", 2)
        return self.folder / "run" / "checkpoints"

    def test_damaged_checkpoints_are_passed_over(self):
        want = self.straight()
        checkpoints = self.damaged_run()
        newest = checkpoints / "step-6" / "optimizer.safetensors"
        os.truncate(newest, newest.stat().st_size // 2)
        flipped = checkpoints / "step-4" / "model.safetensors"
        data = bytearray(flipped.read_bytes())
        data[-1] ^= 4
        flipped.write_bytes(data)
        done = self.resume("run", "--steps", 10)
        self.assertIn("passing over", done.stdout)
        self.assertIn("step-6/optimizer.safetensors is damaged", done.stdout)
        self.assertIn("step-4/model.safetensors is damaged", done.stdout)
        self.assertIn("resuming after step 2", done.stdout)
        self.assertEqual(self.model_bytes("run"), want)

    def test_every_file_of_a_checkpoint_is_guarded(self):
        checkpoints = self.damaged_run()
        good = checkpoints / "step-6"
        kept = self.folder / "kept"
        shutil.copytree(good, kept)
        shutil.rmtree(checkpoints / "step-2")
        shutil.rmtree(checkpoints / "step-4")
        for name in sorted(os.listdir(kept)):
            for damage in ("flip", "remove"):
                shutil.rmtree(good)
                shutil.copytree(kept, good)
                if damage == "remove":
                    (good / name).unlink()
                else:
                    data = bytearray((good / name).read_bytes())
                    data[len(data) // 2] ^= 1
                    (good / name).write_bytes(data)
                done = self.resume("run", "--steps", 7, expect=3)
                self.assert_error(done, "no good checkpoint", name)

    def test_resume_begins_where_nothing_is_yet(self):
        want = self.straight()
        (self.folder / "empty").mkdir()
        for out in ("nowhere", "empty"):
            done = self.train(out, "--steps", 10, "--resume")
            self.assertIn(f"nothing to resume in {self.path(out)} yet: beginning", done.stdout)
            self.assertEqual(self.model_bytes(out), want)
            done = self.train(out, "--steps", 10, "--resume")
            self.assertNotIn("beginning", done.stdout)
        # What a run is made from has to be said then.
        self.assert_error(self.resume("none", expect=2), "--model is required")
        self.assertFalse((self.folder / "none").exists())

    def test_resume_before_the_first_checkpoint_begins_again(self):
        process = self.start("run", "--steps", 4000)
        self.wait_for_steps("run", 2, process)
        process.kill()
        process.wait(60)
        done = self.resume("run", "--steps", 10)
        self.assertIn("no checkpoint to resume from yet", done.stdout)
        self.assertEqual(self.model_bytes("run"), self.straight())
        self.assertEqual([m["step"] for m in self.metrics("run")], list(range(1, 11)))

    def test_other_files_are_no_run_to_resume(self):
        (self.folder / "notes").mkdir()
        self.write("notes/todo.txt", "x")
        done = self.train("notes", "--steps", 2, "--resume", expect=3)
        self.assert_error(done, "holds other files and no run to resume")
        self.assertEqual(os.listdir(self.folder / "notes"), ["todo.txt"])

    def test_a_folder_in_use_is_refused_until_its_run_is_gone(self):
        process = self.start("run", "--steps", 4000, "--checkpoint-every", 2)
        self.wait_for_steps("run", 5, process)
        for extra in ((), ("--resume",)):
            done = self.train("run", "--steps", 4000, *extra, expect=2)
            self.assert_error(done, f"--out {self.path('run')} is in use by process "
                              f"{process.pid} on {socket.gethostname()} since 2")
        # A stopped one holds it, too, and goes on as if nothing had been.
        process.send_signal(signal.SIGSTOP)
        self.assertIn("in use", self.resume("run", expect=2).stderr)
        process.send_signal(signal.SIGCONT)
        done = len(self.metrics("run"))
        self.wait_for_steps("run", done + 2, process)
        process.kill()
        process.wait(60)
        steps = len(self.metrics("run")) + 2
        self.resume("run", "--steps", steps)
        self.assertEqual([m["step"] for m in self.metrics("run")], list(range(1, steps + 1)))

    def test_of_runs_begun_at_once_one_goes_on(self):
        # Enough text that all have seen the folder empty before one writes there.
        text = ("--data", self.write("long.txt", (prose(3000) + " ") * 1000))
        want = self.straight(*text)
        shutil.rmtree(self.folder / "cache")
        runs = [self.start("run", "--steps", 10, *text) for _ in range(4)]
        self.assertEqual(sorted(run.wait(120) for run in runs), [0, 2, 2, 2])
        self.assertEqual(self.model_bytes("run"), want)
        self.assertEqual([m["step"] for m in self.metrics("run")], list(range(1, 11)))

    def test_a_run_whose_lock_was_removed_leaves_the_next_one_alone(self):
        process = self.start("run", "--steps", 40000, "--checkpoint-every", 200,
                             stderr=subprocess.PIPE)
        self.until((self.folder / "run/checkpoints/step-200").exists, process)
        self.wait_for_steps("run", 203, process)
        process.send_signal(signal.SIGSTOP)
        (self.folder / "run/.lock").unlink()
        self.resume("run", "--steps", 450, "--checkpoint-every", 100)
        kept = sorted(os.listdir(self.folder / "run/checkpoints"))
        process.send_signal(signal.SIGCONT)
        self.assertIn(b"another run may write there", process.communicate(timeout=60)[1])
        self.assertEqual(process.returncode, 3)
        self.assertEqual(kept, ["step-300", "step-400", "step-450"])
        self.assertEqual(sorted(os.listdir(self.folder / "run/checkpoints")), kept)
        self.assertEqual([m["step"] for m in self.metrics("run")], list(range(1, 451)))

    def test_newest_checkpoints_are_kept(self):
        self.train("run", "--steps", 9, "--checkpoint-every", 2, "--keep-checkpoints", 2)
        self.assertEqual(sorted(os.listdir(self.folder / "run/checkpoints")),
                         ["step-8", "step-9"])

    def test_what_decides_the_result_may_not_change(self):
        self.train("run", "--steps", 2)
        done = self.resume("run", "--steps", 4, "--lr", 0.5, "--seed", 3, expect=2)
        self.assert_error(done, "--lr was 0.0003, now 0.5", "--seed was 0, now 3")

    def test_changed_data_is_noticed(self):
        self.train("run", "--steps", 2)
        with open(self.text, "a") as file:
            file.write(" and more text" * 20)
        done = self.resume("run", "--steps", 4, expect=3)
        self.assert_error(done, "training samples, the data now gives")

    def test_data_of_the_same_length_is_noticed_too(self):
        self.train("run", "--steps", 2)
        with open(self.text, "r+b") as file:
            byte = file.read(1)
            file.seek(0)
            file.write(bytes([byte[0] ^ 1]))
        done = self.resume("run", "--steps", 4, expect=3)
        self.assert_error(done, "other contents of the training data")

    def test_damaged_newer_checkpoints_go_first(self):
        self.train("run", "--steps", 4, "--checkpoint-every", 2)
        (self.folder / "run/checkpoints/step-4/state.json").write_text("{}")
        self.resume("run", "--steps", 3, "--keep-checkpoints", 1)
        self.assertEqual(os.listdir(self.folder / "run/checkpoints"), ["step-3"])

    def test_command_line_wins_over_the_other_way_to_say_it(self):
        self.train("run", "--epochs", 0.1)
        self.resume("run", "--steps", len(self.metrics("run")) + 1)
        self.run_accrue("train", "--config", self.path("run/config.toml"), "--out",
                        self.path("other"), "--epochs", 0.05)

    def test_physical_settings_may_change(self):
        self.train("run", "--steps", 2)
        self.resume("run", "--steps", 4, "--micro-batch", 3, "--threads", 2)
        self.assertEqual([m["micro_batch"] for m in self.metrics("run")], [4, 4, 3, 3])


if __name__ == "__main__":
    unittest.main()
