"""The budget is a promise: kept by the process, paid for with time only."""

import json
import re
import unittest

from support import SANITIZED, CliTest, prose

MIB = 1 << 20
MODEL = {"model_type": "gpt2", "vocab_size": 256, "n_positions": 1024, "n_embd": 192,
         "n_layer": 4, "n_head": 4}


@unittest.skipIf(SANITIZED, "budgets are about memory of the process")
class MemoryTest(CliTest):
    def setUp(self):
        super().setUp()
        self.model = self.write("model.json", json.dumps(MODEL))
        self.text = self.write("text.txt", prose(12000))

    def command(self, command, *extra, expect=0):
        args = {"--model": self.model, "--data": self.text, "--seq-len": 256,
                "--global-batch": 24, "--threads": 1}
        kept = [part for flag, value in args.items() if flag not in extra
                for part in (flag, value)]
        done = self.run_accrue(command, *kept, "--json", *extra, expect=expect)
        return json.loads(done.stdout.splitlines()[-1]) if expect == 0 else done

    def train_with(self, memory, *extra, steps=2):
        self.runs = getattr(self, "runs", 0) + 1
        out = f"run{self.runs}"
        summary = self.command(
            "train", "--memory", memory, "--steps", steps, "--out", self.path(out), *extra)["summary"]
        self.assertLessEqual(summary["resident_peak_bytes"], memory)
        return summary, out

    def test_budgets_from_the_smallest_are_kept_and_predicted(self):
        smallest = self.command("plan", "--memory", "2GiB", "--steps", 3)["smallest_budget_bytes"]
        digests = set()
        # A little more than the least that was measured: processes differ.
        for memory in (smallest + 4 * MIB, smallest + 30 * MIB, smallest + 100 * MIB):
            summary, out = self.train_with(memory)
            self.assertAlmostEqual(
                summary["predicted_peak_bytes"] / summary["resident_peak_bytes"], 1, delta=0.05)
            digests.add(self.model_bytes(out))
        self.assertEqual(len(digests), 1)

    def test_plan_says_what_fits_how_fast_and_what_it_costs(self):
        plan = self.command(
            "plan", "--memory", "400MiB", "--steps", 50, "--price-per-hour", 3)
        rows = plan["rows"]
        self.assertEqual(len([r for r in rows if r["chosen"]]), 1)
        self.assertEqual({r["checkpointing"] for r in rows}, {False, True})
        for off in (r for r in rows if not r["checkpointing"]):
            on = next(r for r in rows if r["checkpointing"] and
                      r["micro_batch"] == off["micro_batch"])
            self.assertLess(on["peak_bytes"], off["peak_bytes"])
        self.assertAlmostEqual(plan["money"], 3 * plan["hours"])
        self.assertAlmostEqual(plan["hours"] * 3600, 50 * plan["step_s"])
        self.assertEqual(plan["tokens"], 50 * 24 * 256)
        self.assertGreater(plan["unsplit_bytes"], plan["smallest_budget_bytes"])
        text = self.run_accrue(
            "plan", "--model", self.model, "--data", self.text, "--seq-len", 256,
            "--global-batch", 24, "--steps", 5, "--memory", "400MiB").stdout
        for part in ("<- chosen", "smallest possible budget", "unsplit", "checkpointing"):
            self.assertIn(part, text)

    def check_checkpointing(self, dtype):
        results = {}
        for checkpointing in ("on", "off"):
            summary, out = self.train_with(
                1 << 30, "--checkpointing", checkpointing, "--dropout", 0.1, "--micro-batch",
                16, "--dtype", dtype)
            results[checkpointing] = (self.model_bytes(out), summary["resident_peak_bytes"])
        on, off = results["on"], results["off"]
        self.assertEqual(on[0], off[0])
        self.assertLess(on[1], off[1] - 20 * MIB)

    def test_checkpointing_keeps_the_bits_and_takes_less_fp32(self):
        self.check_checkpointing("fp32")

    def test_checkpointing_keeps_the_bits_and_takes_less_bf16(self):
        self.check_checkpointing("bf16")

    def test_verify_with_checkpointing_sees_equal_bits(self):
        done = self.command(
            "verify", "--checkpointing", "on", "--memory", "2GiB", "--micro-batch", 5)
        self.assertTrue(done["passed"])
        for check in done["checks"]:
            self.assertTrue(check["checkpointing"])
            self.assertTrue(all(t["bits_equal"] for t in check["tensors"]))

    def test_verify_cuts_as_planned_and_says_what_it_leaves_out(self):
        smallest = self.command("plan", "--memory", "2GiB")["smallest_budget_bytes"]
        done = self.command("verify", "--memory", smallest + 30 * MIB)
        self.assertEqual([c["reference"] for c in done["checks"]], ["per sample"])
        [left_out] = done["left_out"]
        self.assertEqual(left_out["reference"], "unsplit")
        self.assertGreater(left_out["needed_bytes"], left_out["budget_bytes"])
        # Short samples share a micro-batch that was planned for long ones.
        data = self.write("ragged.jsonl", "".join(
            json.dumps({"text": prose(1 + i * 7 % 50, seed=i)}) + "\n" for i in range(40)))
        done = self.command("verify", "--data", data, "--packing", "off", "--memory", "2GiB")
        self.assertNotIn("left_out", done)
        self.assertEqual([c["reference"] for c in done["checks"]], ["unsplit", "per sample"])
        self.assertTrue(all(t["bits_equal"] for c in done["checks"] for t in c["tensors"]))

    def test_budget_below_which_only_checkpointing_fits(self):
        rows = self.command(
            "plan", "--memory", "2GiB", "--seq-len", 1024, "--global-batch", 8)["rows"]
        off, on = (next(r["peak_bytes"] for r in rows
                        if r["micro_batch"] == 1 and r["checkpointing"] is c)
                   for c in (False, True))
        self.assertGreater(off - on, 16 * MIB)
        memory = (on + off) // 2
        args = ["--seq-len", 1024, "--global-batch", 8]
        plan = self.command("plan", "--memory", memory, *args)
        self.assertTrue(plan["checkpointing"])
        self.assertEqual(plan["why"].split("; ")[1], "only with checkpointing does a sample fit")
        self.train_with(memory, *args)
        done = self.command(
            "train", "--memory", memory, *args, "--steps", 1, "--out", self.path("off"),
            "--checkpointing", "off", expect=4)
        self.assert_error(done, "not even one sample fits", "sample", "1024 tokens", "are missing",
                          "--checkpointing auto", "--seq-len", "--dtype bf16")
        self.assertFalse((self.folder / "off").exists())

    def test_one_sample_much_longer_than_the_rest(self):
        lines = [prose(9, seed=i)[:40] for i in range(60)]
        lines[31] = prose(400)[:1000]
        data = self.write("long.jsonl", "".join(json.dumps({"text": t}) + "\n" for t in lines))
        args = ["--data", data, "--packing", "off", "--seq-len", 1024, "--global-batch", 20]
        # By tokens: the long one alone, the others many at once.
        plan = self.command("plan", "--memory", "2GiB", *args)
        least = next(r["peak_bytes"] for r in plan["rows"]
                     if r["micro_batch"] == 1 and not r["checkpointing"])
        summary, out = self.train_with(least + 8 * MIB, "--checkpointing", "off", *args, steps=3)
        self.assertEqual(summary["micro_batch"], 1)
        metrics = self.metrics(out)
        self.assertGreater(metrics[0]["micro_batch"], 5)
        self.assertLess(metrics[0]["accumulation_steps"], 5)
        self.assertEqual(sum(m["samples"] for m in metrics), 60)
        whole, other = self.train_with(2 << 30, *args, steps=3)
        self.assertEqual(self.model_bytes(out), self.model_bytes(other))

    def test_resume_takes_the_fit_table_and_keeps_the_budget(self):
        memory = 300 * MIB
        summary, out = self.train_with(memory)
        table = (self.folder / out / "fit-table.json").read_bytes()
        done = self.run_accrue("train", "--out", self.path(out), "--resume", "--steps", 5, "--json")
        resumed = json.loads(done.stdout.splitlines()[-1])["summary"]
        self.assertLessEqual(resumed["resident_peak_bytes"], memory)
        self.assertEqual((self.folder / out / "fit-table.json").read_bytes(), table)
        # Another budget: measured again.
        done = self.run_accrue(
            "train", "--out", self.path(out), "--resume", "--steps", 6, "--memory", memory + MIB)
        self.assertNotEqual((self.folder / out / "fit-table.json").read_bytes(), table)
        # Other operations: measured again.
        self.env["ACCRUE_BACKEND"] = "portable"
        self.run_accrue("train", "--out", self.path(out), "--resume", "--steps", 7)
        table = json.loads((self.folder / out / "fit-table.json").read_text())
        self.assertEqual(table["key"]["backend"], "portable")

    def check_damaged_fit_tables(self, damage):
        # What a table holds does not depend on the model, so the smallest will do.
        _, out = self.train_with(300 * MIB, "--model", self.gpt2, "--seq-len", 64)
        path = self.folder / out / "fit-table.json"
        whole = json.loads(path.read_text())
        idle, *timed = whole["probes"]
        self.assertEqual(idle["micro_batch"], 0)
        for step, probes in enumerate(damage(idle, timed), 4):
            path.write_text(json.dumps(whole | {"probes": probes}))
            self.run_accrue("train", "--out", self.path(out), "--resume", "--steps", step)
            again = json.loads(path.read_text())["probes"]
            self.assertEqual(again[0]["micro_batch"], 0)
            self.assertEqual(again[0]["seconds"], 0)
            self.assertGreater(len(again), 1)

    def test_fit_tables_with_wrong_probes_are_measured_again(self):
        self.check_damaged_fit_tables(
            lambda idle, timed: [[idle | {"seconds": 1}, *timed], [idle]])

    def test_fit_tables_without_the_idle_probe_are_measured_again(self):
        self.check_damaged_fit_tables(lambda idle, timed: [timed, []])

    def test_micro_batch_beyond_the_budget_names_the_largest_that_fits(self):
        rows = self.command("plan", "--memory", "2GiB", "--seq-len", 512,
                            "--global-batch", 64)["rows"]
        memory = next(r["peak_bytes"] for r in rows
                     if r["micro_batch"] == 4 and not r["checkpointing"])
        done = self.command(
            "train", "--memory", memory, "--seq-len", 512, "--global-batch", 64, "--micro-batch", 64,
            "--checkpointing", "off", "--steps", 1, "--out", self.path("out"), expect=4)
        fits = int(re.search(r"The largest that fits is (\d+);", done.stderr).group(1))
        self.assertGreaterEqual(fits, 2)
        self.assertLessEqual(fits, 4)

    def test_weights_that_cannot_fit_are_refused_before_they_are_made(self):
        large = self.write("large.json", json.dumps(MODEL | {"n_embd": 4096, "n_layer": 48}))
        done = self.command(
            "train", "--model", large, "--memory", "1GiB", "--steps", 1, "--out",
            self.path("out"), expect=4)
        self.assert_error(done, "weights, gradients, optimizer state", "are missing")


if __name__ == "__main__":
    unittest.main()
