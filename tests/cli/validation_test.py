"""What validation and the metrics tell: the best model, when to stop, what looks wrong."""

import json
import random
import unittest

from support import CliTest, prose


class ValidationTest(CliTest):
    def setUp(self):
        super().setUp()
        # Noise can be learned by heart only, which makes other noise less likely.
        noise = random.Random(1)
        self.data = self.write("noise.txt", "".join(noise.choices("abcdefgh", k=700)))
        self.valid = self.write("valid.txt", "".join(noise.choices("abcdefgh", k=700)))

    def overfit(self, out, *extra, expect=0):
        steps = () if "--steps" in extra else ("--steps", 60)
        return self.train(out, "--data", self.data, "--valid", self.valid, "--eval-every", 2,
                          "--lr", "1e-2", *steps, *extra, expect=expect)

    def losses(self, out):
        return {m["step"]: m["valid_loss"] for m in self.metrics(out) if "valid_loss" in m}

    def best(self, out):
        losses = self.losses(out)
        return min(losses, key=lambda step: (losses[step], step))

    def step_bytes(self, out, step, name="model.safetensors"):
        return (self.folder / out / "checkpoints" / f"step-{step}" / name).read_bytes()

    def test_best_model_is_kept(self):
        keep = ("--checkpoint-every", 2, "--keep-checkpoints", 99)
        done = self.overfit("run", "--keep-best", *keep, "--json")
        best = self.best("run")
        self.assertTrue(2 < best < 52, best)
        self.assertEqual(self.model_bytes("run"), self.step_bytes("run", best))
        self.assertNotEqual(self.model_bytes("run"), self.step_bytes("run", 60))
        summary = json.loads(done.stdout.splitlines()[-1])["summary"]
        self.assertEqual(summary["best"], {"step": best, "valid_loss": self.losses("run")[best]})
        # Interrupted before and after the best step.
        for stop in (best - 1, best + 3):
            out = f"stop-{stop}"
            self.overfit(out, "--keep-best", "--steps", stop)
            self.run_accrue("train", "--out", self.path(out), "--resume", "--steps", 60)
            self.assertEqual(self.model_bytes(out), self.model_bytes("run"))
        # Its bytes are looked at before they are used.
        weights = self.folder / "run/best/model.safetensors"
        data = bytearray(weights.read_bytes())
        data[-5] ^= 1
        weights.write_bytes(data)
        done = self.run_accrue("train", "--out", self.path("run"), "--resume", expect=3)
        self.assert_error(done, "[checkpoint]", "run/best is damaged", "Remove it")
        self.assertEqual(self.model_bytes("run"), self.step_bytes("run", best))
        # Without it the model is the last one.
        self.overfit("last")
        self.assertEqual(self.model_bytes("last"), self.step_bytes("run", 60))

    def test_best_adapter_is_kept_and_merged(self):
        self.train("base", "--steps", 1)
        lora = ("--model", self.path("base/model"), "--lora-rank", 8, "--steps", 60,
                "--checkpoint-every", 2, "--keep-checkpoints", 99, "--keep-best")
        self.overfit("run", *lora)
        best = self.best("run")
        self.assertTrue(2 < best < 60, best)
        adapter = (self.folder / "run/model/adapter_model.safetensors").read_bytes()
        self.assertEqual(adapter, self.step_bytes("run", best, "adapter_model.safetensors"))
        self.overfit("merged", *lora, "--merge")
        self.assertEqual(
            (self.folder / "merged/adapter/adapter_model.safetensors").read_bytes(), adapter)
        self.assertIn("model.safetensors", [
            path.name for path in (self.folder / "merged/model").iterdir()])

    def test_patience_ends_the_run(self):
        done = self.overfit("run", "--patience", 3, "--json")
        best = self.best("run")
        self.assertEqual(self.metrics("run")[-1]["step"], best + 6)
        summary = json.loads(done.stdout.splitlines()[-1])["summary"]
        self.assertTrue(summary["out_of_patience"])
        self.assertEqual(self.model_bytes("run"), self.step_bytes("run", best + 6))
        # A run that was interrupted counts on.
        self.overfit("part", "--patience", 3, "--steps", best + 3)
        self.run_accrue("train", "--out", self.path("part"), "--resume", "--steps", 60)
        self.assertEqual(self.model_bytes("part"), self.model_bytes("run"))
        # Done is done, until there is more patience.
        self.run_accrue("train", "--out", self.path("run"), "--resume")
        self.assertEqual(self.metrics("run")[-1]["step"], best + 6)
        self.run_accrue("train", "--out", self.path("run"), "--resume", "--patience", 99)
        self.assertEqual(self.metrics("run")[-1]["step"], 60)
        # Control: where validation improves, the run is not ended.
        self.train("good", "--valid", self.text, "--eval-every", 2, "--patience", 3,
                   "--steps", 30)
        self.assertEqual(self.metrics("good")[-1]["step"], 30)

    def test_settings_that_need_validation(self):
        done = self.train("run", "--steps", 1, "--keep-best", "--patience", 2, expect=2)
        self.assert_error(done, "--keep-best needs --eval-every", "--patience needs --eval-every")
        done = self.overfit("run", "--patience", 0, expect=2)
        self.assert_error(done, "--patience must be >= 1")

    def test_pairs_are_validated_as_they_are_trained(self):
        pairs = self.write("pairs.jsonl", "".join(
            json.dumps({"prompt": prose(2, i) + " ", "chosen": prose(1 + i % 4, 2 * i),
                        "rejected": prose(5 + (2 * i) % 5, 3 * i)}) + "\n" for i in range(30)))
        self.train("base", "--steps", 2)
        # With all pairs on both sides and no learning rate both see the same.
        done = self.train("run", "--model", self.path("base/model"), "--data", pairs,
                          "--valid", pairs, "--objective", "dpo", "--global-batch", 30, "--seq-len", 60,
                          "--steps", 3, "--eval-every", 1, "--lr", "1e-3", "--json")
        metrics = self.metrics("run")
        self.assertNotIn("valid_loss", json.loads(done.stdout.splitlines()[-1]))
        for before, after in zip(metrics, metrics[1:]):
            # After a step: what the next one sees before it.
            self.assertAlmostEqual(before["valid_loss"], after["loss"], delta=1e-6)
            self.assertAlmostEqual(before["valid_reward_margin"], after["reward_margin"],
                                   delta=1e-6)
            self.assertEqual(before["valid_reward_accuracy"], after["reward_accuracy"])
        self.assertGreater(metrics[-1]["valid_reward_margin"], 0)

    def test_steps_that_leave_their_band_are_named_with_their_samples(self):
        def run(out, bad):
            lines = [{"text": prose(8, seed=i)} for i in range(120)]
            if bad:
                lines[57] = {"text": "QXZ#~@%^&*JKVW{}[]<>|+=QZXJ"}
            data = self.write(out + ".jsonl", "".join(json.dumps(r) + "\n" for r in lines))
            self.train(out, "--data", data, "--packing", "off", "--seq-len", 60,
                       "--global-batch", 4, "--epochs", 3, "--lr", "1e-2", "--micro-batch", 2)
            return [w for m in self.metrics(out) for w in m.get("warnings", [])]

        warnings = run("bad", True)
        self.assertTrue(any("the loss is" in w and "highest losses: sample 57 (" in w
                            for w in warnings), warnings)
        self.assertEqual(run("good", False), [])


if __name__ == "__main__":
    unittest.main()
