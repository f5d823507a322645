"""Data mixed by weight, and validation samples from all over it."""

import json
import random
import unittest

from support import CliTest, prose


class MixtureTest(CliTest):
    def setUp(self):
        super().setUp()
        self.upper = self.write("upper.txt", prose(1500, seed=3).upper())
        self.chats = self.write("chats.jsonl", "".join(
            json.dumps({"prompt": prose(1 + i % 5, i) + " ",
                        "completion": prose(1 + (3 * i) % 7, i + 1)}) + "\n" for i in range(30)))
        self.mix = ["--data", self.text + ":0.7", self.upper + ":0.2", self.chats + ":0.1"]

    def mixed(self, out, *extra):
        steps = () if "--steps" in extra else ("--steps", 6)
        return self.train(out, *self.mix, "--dropout", 0.1, *steps, *extra)

    def test_bits_do_not_depend_on_the_split_or_a_stop(self):
        for dtype in ("fp32", "bf16"):
            self.mixed("whole-" + dtype, "--micro-batch", 12, "--dtype", dtype)
            for micro_batch, threads in ((1, 1), (5, 2)):
                out = f"{dtype}-{micro_batch}"
                self.mixed(out, "--micro-batch", micro_batch, "--threads", threads,
                           "--dtype", dtype)
                self.assertEqual(self.model_bytes(out), self.model_bytes("whole-" + dtype))
        self.mixed("part", "--steps", 3)
        self.run_accrue("train", "--out", self.path("part"), "--resume", "--steps", 6)
        self.assertEqual(self.model_bytes("part"), self.model_bytes("whole-fp32"))
        self.train("control", "--data", self.text + ":0.5", self.upper + ":0.4",
                   self.chats + ":0.1", "--dropout", 0.1, "--steps", 6)
        self.assertNotEqual(self.model_bytes("control"), self.model_bytes("whole-fp32"))

    def test_shares_are_relative_and_said(self):
        done = self.mixed("run")
        for share, path in (("70.00 %", self.text), ("20.00 %", self.upper),
                            ("10.00 %", self.chats)):
            self.assertIn(f"mixture      {share} {path}, ", done.stdout)
        self.train("other", "--data", self.text + ":7", self.upper + ":2", self.chats + ":1",
                   "--dropout", 0.1, "--steps", 6)
        self.assertEqual(self.model_bytes("other"), self.model_bytes("run"))
        shown = self.run_accrue("show-data", "--model", self.gpt2, *self.mix, "--n", 1, "--json",
                                "--seq-len", 32)
        texts = [json.loads(line)["text"] for line in shown.stdout.splitlines()]
        self.assertEqual(len(texts), 3)
        self.assertTrue(texts[1].isupper(), texts[1])

    def test_only_trained_tokens_of_conversations_count(self):
        self.train("run", "--data", self.chats + ":1", "--steps", 1, "--global-batch", 30)
        self.train("plain", "--data", self.chats, "--steps", 1, "--global-batch", 30)
        self.assertEqual(self.model_bytes("run"), self.model_bytes("plain"))
        self.mixed("mixed", "--global-batch", 200, "--steps", 1)
        metrics = self.metrics("mixed")[0]
        self.assertLess(metrics["target_tokens"], metrics["tokens"])

    def test_what_cannot_be_mixed(self):
        for data, part in (
                ([self.text + ":0.5", self.upper], "every path its share"),
                ([self.text + ":0", self.upper + ":1"], "must be a number > 0"),
                ([self.text + ":1e-9", self.upper + ":1"], "at least 1/10000")):
            done = self.train("run", "--steps", 1, "--data", *data, expect=2)
            self.assert_error(done, "[config]", "--data", part)
        done = self.train("run", "--steps", 1, "--data", self.text + ":1",
                          self.path("none.txt") + ":1", expect=3)
        self.assert_error(done, "[data]", "none.txt")
        self.assertFalse((self.folder / "run").exists())

    def test_validation_is_from_all_over_the_data(self):
        # What a tail would hold is of another kind than the rest.
        words = prose(2000, seed=4) + " " + " ".join(
            "".join(random.Random(i).choices("QXZJKV", k=6)) for i in range(100))
        data = self.write("drifts.txt", words)
        head, tail = words[:-700], words[-700:]
        self.train("run", "--data", data, "--valid-fraction", 0.1, "--steps", 40, "--lr", "1e-2")
        self.train("tail", "--data", self.write("head.txt", head), "--valid",
                   self.write("tail.txt", tail), "--steps", 40, "--lr", "1e-2")
        fair, unfair = (self.metrics(run)[-1]["valid_loss"] for run in ("run", "tail"))
        self.assertLess(fair, unfair - 1)
        # The same samples whatever the seed.
        losses = set()
        for seed in (1, 2):
            self.train(f"seed{seed}", "--data", data, "--valid-fraction", 0.1, "--steps", 1,
                       "--lr", 0, "--seed", seed, "--model", self.path("run/model"))
            losses.add(self.metrics(f"seed{seed}")[-1]["valid_loss"])
        self.assertEqual(len(losses), 1)


if __name__ == "__main__":
    unittest.main()
