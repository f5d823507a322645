import json
import math
import unittest

from support import SANITIZED, CliTest, prose

FIELDS = ["step", "loss", "lr", "grad_norm", "samples", "tokens", "target_tokens",
          "tokens_per_s", "step_s", "micro_batch", "accumulation_steps", "world_size",
          "peak_bytes", "skipped"]


class TrainingTest(CliTest):
    def test_loss_falls_and_the_run_directory_is_complete(self):
        done = self.train("run", "--steps", 30, "--lr", "1e-2")
        metrics = self.metrics("run")
        self.assertEqual([m["step"] for m in metrics], list(range(1, 31)))
        for field in FIELDS:
            self.assertIn(field, metrics[0])
        self.assertAlmostEqual(metrics[0]["loss"], math.log(256), delta=0.1)
        self.assertLess(metrics[-1]["loss"], 3)
        self.assertEqual(metrics[0]["tokens"], 12 * 32)
        self.assertEqual(metrics[0]["accumulation_steps"], 3)
        for name in ["config.toml", "report.html", "model/config.json",
                     "model/model.safetensors", "checkpoints/step-30/manifest.json"]:
            self.assertTrue((self.folder / "run" / name).exists(), name)
        self.assertIn("step 30/30", done.stdout)
        self.assertIn("<svg", (self.folder / "run/report.html").read_text())

    def test_losses_do_not_depend_on_the_micro_batch(self):
        for model in (self.gpt2, self.llama):
            for data in ([self.text], [self.ragged, "--packing", "off"]):
                losses = {}
                for micro in (1, 5, 12):
                    out = f"run{micro}-{len(data)}-{model[-8:]}"
                    self.train(out, "--steps", 6, "--model", model, "--data", *data,
                               "--micro-batch", micro, "--dropout", 0.1)
                    losses[micro] = [m["loss"] for m in self.metrics(out)]
                for micro in (1, 5):
                    for got, want in zip(losses[micro], losses[12]):
                        self.assertLess(abs(got / want - 1), 1e-4)

    def test_peak_memory_is_flat_in_the_global_batch(self):
        peaks = []
        for global_batch in (8, 96):
            out = f"run{global_batch}"
            self.train(out, "--steps", 2, "--global-batch", global_batch)
            peaks.append(self.metrics(out)[-1]["peak_bytes"])
        self.assertLess(abs(peaks[1] / peaks[0] - 1), 0.03)

    @unittest.skipIf(SANITIZED, "a sanitizer keeps freed memory for a while")
    def test_a_larger_corpus_takes_no_more_memory(self):
        peaks = []
        for copies in (1, 4000):  # 14 KB and 56 MB
            text = self.write(f"copies{copies}.txt", prose(3000) * copies)
            out = f"run{copies}"
            self.train(out, "--steps", 3, "--data", text)
            peaks.append(self.metrics(out)[-1]["resident_peak_bytes"])
        self.assertLess(peaks[1] - peaks[0], 12 << 20)

    def test_last_window_of_an_epoch_is_short(self):
        self.train("run", "--epochs", 1, "--global-batch", 100)
        metrics = self.metrics("run")
        self.assertLess(metrics[-1]["samples"], 100)
        targets = sum(m["target_tokens"] for m in metrics)
        # Every byte of the text, and its separator, is a target once.
        self.assertEqual(targets, len((self.folder / "text.txt").read_bytes()))

    def test_global_batch_in_tokens(self):
        args = self.train_args("run", "--steps", 1, "--global-batch-tokens", 330)
        at = args.index("--global-batch")
        self.run_accrue(*args[:at], *args[at + 2:])
        self.assertEqual(self.metrics("run")[0]["tokens"], 320)

    def test_validation(self):
        self.train("run", "--steps", 5, "--eval-every", 2, "--valid-fraction", 0.2)
        evaluated = [m["step"] for m in self.metrics("run") if "valid_loss" in m]
        self.assertEqual(evaluated, [2, 4, 5])
        self.train("other", "--steps", 1, "--valid", self.ragged)
        self.assertIn("valid_loss", self.metrics("other")[0])

    def test_config_toml_repeats_the_run(self):
        self.train("first", "--steps", 3, "--dropout", 0.1, "--seed", 5)
        self.run_accrue("train", "--config", self.path("first/config.toml"),
                        "--out", self.path("second"))
        self.assertEqual(self.model_bytes("first"), self.model_bytes("second"))
        self.run_accrue("train", "--config", self.path("first/config.toml"),
                        "--out", self.path("third"), "--seed", 6)
        self.assertNotEqual(self.model_bytes("first"), self.model_bytes("third"))

    def test_json_is_all_that_stdout_holds(self):
        done = self.train("run", "--steps", 2, "--json")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([m.get("step") for m in lines], [1, 2, None])
        self.assertEqual(lines[-1]["summary"]["steps"], 2)
        self.assertIn("step 2/2", done.stderr)

    def test_quiet_shows_results_only(self):
        done = self.train("run", "--steps", 2, "--quiet")
        self.assertNotIn("step 2/2", done.stdout)
        self.assertIn("loss", done.stdout)

    def test_every_dtype_optimizer_and_schedule_trains(self):
        for extra in (["--dtype", "bf16"], ["--dtype", "fp64"],
                      ["--optimizer", "sgd", "--lr", "0.1"], ["--schedule", "wsd"],
                      ["--schedule", "linear"], ["--schedule", "cosine"]):
            out = "-".join(extra)
            self.train(out, "--steps", 8, "--warmup-steps", 2, *extra)
            metrics = self.metrics(out)
            self.assertLess(metrics[-1]["loss"], metrics[0]["loss"], extra)
            self.assertEqual(metrics[0]["lr"], 0)

    def test_memory_budget_picks_the_micro_batch_and_is_kept(self):
        args = self.train_args("run", "--steps", 1, "--memory", "1GiB")
        at = args.index("--micro-batch")
        self.run_accrue(*args[:at], *args[at + 2:])

        def resume(steps, seconds_of):
            """Times are the test's own: the machine's depend on its load."""
            path = self.folder / "run/fit-table.json"
            table = json.loads(path.read_text())
            for probe in table["probes"]:
                if probe["seconds"] > 0:
                    probe["seconds"] = seconds_of(probe["micro_batch"])
            path.write_text(json.dumps(table))
            done = self.run_accrue("train", "--out", self.path("run"), "--resume",
                                   "--steps", steps, "--json")
            return json.loads(done.stdout.splitlines()[-1])["summary"]

        summary = resume(2, lambda samples: 1 + samples / 100)
        self.assertEqual(summary["micro_batch"], 12)
        self.assertLess(summary["resident_peak_bytes"], 1 << 30)
        self.assertGreater(summary["unsplit_bytes"], 0)
        self.assertEqual(resume(3, lambda samples: samples ** 2)["micro_batch"], 1)

    def test_not_even_one_sample_fits(self):
        done = self.train("run", "--steps", 1, "--memory", "50MiB", expect=4)
        self.assert_error(done, "not even one sample fits", "missing", "--memory")
        self.assertFalse((self.folder / "run").exists())

    def test_nonfinite_loss_stops_or_is_skipped(self):
        diverging = ["--steps", 4, "--lr", "1e30", "--clip-norm", 0, "--weight-decay", 0]
        done = self.train("run", *diverging, expect=1)
        self.assert_error(done, "Step 2", "samples", "--on-nonfinite skip")
        self.train("other", *diverging, "--on-nonfinite", "skip")
        metrics = self.metrics("other")
        self.assertEqual([m["skipped"] for m in metrics], [0, 12, 12, 12])
        self.assertIsNone(metrics[1]["loss"])

    def test_trained_model_loads_in_transformers(self):
        try:
            import torch
            from transformers import AutoModelForCausalLM
        except ImportError:
            self.skipTest("transformers is not installed")
        for model in (self.gpt2, self.llama):
            out = "run-" + model[-8:]
            self.train(out, "--steps", 1, "--model", model, "--valid", self.text)
            loaded, info = AutoModelForCausalLM.from_pretrained(
                self.path(f"{out}/model"), output_loading_info=True)
            self.assertFalse(any(info.values()), info)
            ids = torch.tensor(list((self.folder / "text.txt").read_bytes()[:33]))
            with torch.no_grad():
                logits = loaded(ids[:-1].unsqueeze(0)).logits[0]
            loss = torch.nn.functional.cross_entropy(logits, ids[1:]).item()
            # One sample's loss is near the mean over all of them.
            self.assertAlmostEqual(loss, self.metrics(out)[0]["valid_loss"], delta=0.3)


if __name__ == "__main__":
    unittest.main()
