import json
import os
import shutil
import subprocess
import unittest

from support import ACCRUE, GPT2, CliTest


class BadInputTest(CliTest):
    def refuse(self, code, *extra, parts):
        done = self.train("run", "--steps", 2, *extra, expect=code)
        self.assert_error(done, *parts)
        self.assertFalse((self.folder / "run").exists(), "something was half-written")

    def refuse_data(self, path, *parts):
        self.refuse(3, "--data", path, parts=[str(path), *parts])

    def test_data_files(self):
        self.refuse_data(self.path("none.txt"), "does not exist")
        self.refuse_data(self.write("empty.txt", ""), "is empty")
        self.refuse_data(self.write("a.bin", b"\x7fELF\x02\x01\x01\x00"), "0x00", "binary")
        self.refuse_data(self.write("cut.txt", "caf\u00e9".encode()[:-1]), "truncated")

    @unittest.skipIf(os.geteuid() == 0, "root can read everything")
    def test_unreadable_file(self):
        path = self.write("secret.txt", "x")
        os.chmod(path, 0)
        self.refuse_data(path, "Permission denied")

    def test_unreadable_file_as_another_user(self):
        if os.geteuid() != 0 or shutil.which("setpriv") is None:
            self.skipTest("needs root and setpriv to become another user")
        path = self.write("secret.txt", "x" * 5000)
        os.chmod(path, 0)
        self.folder.chmod(0o777)
        for parent in self.folder.parents:
            if not parent.stat().st_mode & 1:
                self.skipTest(f"{parent} is closed to other users")
        reach = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", ACCRUE, "--version"],
            capture_output=True)
        if reach.returncode != 0:
            self.skipTest("the program is out of other users' reach")
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", ACCRUE,
             *map(str, self.train_args("run", "--steps", 1, "--data", path))],
            env=self.env, capture_output=True, text=True)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assert_error(done, path, "Permission denied")

    def test_json_lines(self):
        good = json.dumps({"text": "a good line " * 50}) + "\n"
        for line, what in (("[]", "must be an object, got an array"),
                           ('{"txt": 1}', 'has no "text"'),
                           ('{"text": 1}', '"text" must be a string, got a number'),
                           ('{"text": "cut', "not valid JSON")):
            path = self.write("bad.jsonl", good + line + "\n" + good * 10)
            self.refuse_data(path, "line 2 of", what, "--skip-bad-lines")
            done = self.train("ok", "--steps", 1, "--data", path, "--skip-bad-lines")
            self.assertIn("1 bad lines skipped", done.stdout)
            shutil.rmtree(self.folder / "ok")

    def test_fewer_samples_than_a_global_batch(self):
        self.refuse(3, "--data", self.write("few.txt", "word " * 20),
                    parts=["fewer than one global batch of 12", "--global-batch"])

    def test_all_flag_problems_at_once(self):
        done = self.run_accrue(
            "train", "--model", self.gpt2, "--seq-len", 65, "--steps", 2, "--epochs", 1,
            "--lr", "fast", "--memroy", "1GiB", "--beta2", "0.9", "--beta2", "0.8", "--threads", "1.5",
            "--dtype", "fp8", "--memory", "lots", expect=2)
        self.assert_error(done, 'unknown argument "--memroy", did you mean --memory?',
                          "--steps and --epochs contradict", "--data is required", "--lr: expected a number",
                          "--threads: expected a whole number",
                          "--dtype: expected one of fp32, fp64, bf16",
                          "--memory: expected a size",
                          "--beta2: expected one value, got 0.9 and 0.8")
        done = self.run_accrue(
            "train", "--model", self.gpt2, "--seq-len", 65, "--steps", 2, "--epochs", 1,
            "--beta2", "1.5", "--clip-norm", -1, "--warmup-steps", 9, "--min-lr", 2,
            "--eval-every", 5, "--micro-batch", 0, "--shards", 3, "--valid-fraction", 0,
            expect=2)
        self.assert_error(
            done, "--data is required", "--out is required", "--global-batch",
            "--steps and --epochs contradict", "--beta2 must be in", "--clip-norm must be",
            "--warmup-steps (9) must not exceed", "--min-lr (2) must not exceed",
            "--valid-fraction must be between", "--micro-batch must be >= 1", "--shards 3",
            "--seq-len 65 exceeds the 64 positions")

    def test_the_nearest_name_is_suggested(self):
        for given, want in (("--step", "--steps"), ("--mem=1GiB", "--memory"),
                            ("--bata1", "--beta1"), ("--optimiser", "--optimizer")):
            done = self.run_accrue("train", given, expect=2)
            self.assert_error(done, f'unknown argument "{given}", did you mean {want}?')
        done = self.run_accrue("train", "--optimiser", "sgd", "-x", expect=2)
        self.assertNotIn('"sgd"', done.stderr)
        self.assert_error(done, 'unknown argument "-x"; accrue train --help')
        self.assert_error(self.run_accrue("trian", expect=2), "did you mean train?")
        bad = self.write("bad.toml", "globl_batch = 3\n")
        self.refuse(2, "--config", bad, parts=[
            "globl_batch is not a setting, did you mean global_batch?"])

    def test_a_switch_can_be_given_false(self):
        self.train("plain", "--steps", 1, "--tensorboard=false")
        self.assertFalse((self.folder / "plain" / "tensorboard").exists())
        self.refuse(2, "--tensorboard=perhaps", parts=["--tensorboard: expected true or false"])

    def test_resume_of_a_folder_without_a_run_says_so(self):
        done = self.run_accrue("train", "--resume", "--out", self.path("typo"), expect=2)
        self.assert_error(done, "typo holds no run")

    def test_times(self):
        for time in ("90", "soon", "-5s", "30m1h", ""):
            self.refuse(2, "--max-time", time, parts=[
                "--max-time: expected a time such as 90s, 30m, 8h or 1h30m", f'"{time}"'])
        self.refuse(2, "--max-time", "0s", parts=["--max-time must be > 0"])
        bad = self.write("bad.toml", "max_time = 90\n")
        self.refuse(2, "--config", bad, parts=["bad.toml: max-time: expected a time"])

    def test_contradictions(self):
        self.refuse(2, "--eval-every", 5, parts=["--eval-every needs --valid"])
        self.refuse(2, "--global-batch-tokens", 64, parts=["contradict"])
        self.refuse(2, "--valid", self.text, "--valid-fraction", 0.1, parts=["contradict"])

    def test_config_file(self):
        bad = self.write("bad.toml", "steps = 'many'\nspeed = 3\nlr = true\n")
        self.refuse(2, "--config", bad,
                    parts=["bad.toml: steps: expected a whole number",
                           "bad.toml: speed is not a setting", "bad.toml: lr: expected"])
        self.refuse(2, "--config", self.write("cut.toml", "steps = \n"), parts=["line 1 of"])
        self.refuse(3, "--config", self.path("none.toml"), parts=["none.toml"])

    def test_model_config(self):
        for config, what in ((dict(GPT2, n_head=None), '"n_head"'),
                             (dict(GPT2, n_layer="two"), '"n_layer" must be a whole number'),
                             (dict(GPT2, add_cross_attention=True), "add_cross_attention"),
                             (dict(GPT2, model_type="t5"), '"t5"')):
            path = self.write("config.json", json.dumps(config))
            self.refuse(3, "--model", path, parts=[path, what])
        self.refuse(3, "--model", self.path("nowhere"), parts=["nowhere"])
        small = self.write("small.json", json.dumps(dict(GPT2, vocab_size=100)))
        self.refuse(2, "--model", small, parts=["vocabulary of 100, bytes need 256"])

    def test_weights(self):
        self.train("good", "--steps", 1)
        folder = self.folder / "good" / "model"
        weights = folder / "model.safetensors"
        os.truncate(weights, 1000)
        self.refuse(3, "--model", folder, parts=["model.safetensors", "Restore"])

    def test_generation_config(self):
        # It is read when the result is written, and looked at before the first step.
        for text, what in (('{"eos_token_id": 3', "is not valid JSON"),
                           ('{"eos_token_id": "</s>"}', '"eos_token_id"')):
            path = self.write("generation_config.json", text)
            self.refuse(3, parts=[path, what])

    def test_out_is_not_overwritten(self):
        self.train("run", "--steps", 1)
        before = self.model_bytes("run")
        done = self.train("run", "--steps", 2, expect=2)
        self.assert_error(done, "is not empty", "--resume")
        self.assertEqual(self.model_bytes("run"), before)

    def test_several_ranks_are_refused(self):
        self.env["OMPI_COMM_WORLD_SIZE"] = "4"
        self.refuse(2, parts=["one of 4 ranks"])

    def test_full_disk_keeps_earlier_checkpoints(self):
        disk = self.folder / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1100k", "tmpfs", str(disk)],
            capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("no permission to mount a small tmpfs")
        self.addCleanup(subprocess.run, ["umount", str(disk)], check=True)
        # A checkpoint takes about 460 KiB: two fit, the third does not.
        done = self.train("disk/run", "--steps", 6, "--checkpoint-every", 1,
                          "--keep-checkpoints", 9, expect=3)
        self.assert_error(done, "No space left on device", "--resume")
        self.assertEqual(sorted(os.listdir(disk / "run/checkpoints")), ["step-1", "step-2"])
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        done = self.run_accrue("train", "--out", disk / "run", "--resume")
        self.assertIn("resuming after step 2", done.stdout)
        self.train("straight", "--steps", 6)
        self.assertEqual(self.model_bytes("disk/run"), self.model_bytes("straight"))


if __name__ == "__main__":
    unittest.main()
