"""Conversations, adapters and preferences, from the command line."""

import json
import shutil
import unittest

from support import SOURCE, CliTest, prose

TOKENIZERS = "tests/oracle/tokenizers"


class FineTuningTest(CliTest):
    def setUp(self):
        super().setUp()
        # A model folder with weights: what a run on plain text made.
        self.train("base", "--model", self.llama, "--steps", 2)
        self.base = self.path("base/model")
        self.chats = self.write("chats.jsonl", "".join(
            json.dumps({"prompt": prose(1 + i % 5, i) + " ",
                        "completion": prose(1 + (3 * i) % 7, i + 1)}) + "\n" for i in range(30)))
        self.pairs = self.write("pairs.jsonl", "".join(
            json.dumps({"prompt": prose(2, i) + " ", "chosen": prose(1 + i % 4, 2 * i),
                        "rejected": prose(1 + (2 * i) % 5, 3 * i)}) + "\n" for i in range(30)))

    def adapter_bytes(self, out):
        return (self.folder / out / "model" / "adapter_model.safetensors").read_bytes()

    def chat_args(self, out, *extra):
        return self.train_args(out, "--model", self.base, "--data", self.chats, "--seq-len", 60,
                               "--lr", "1e-2", "--dropout", 0.1, *self.steps(extra))

    def dpo_args(self, out, *extra):
        return self.train_args(out, "--model", self.base, "--data", self.pairs, "--objective",
                               "dpo", "--seq-len", 60, "--lr", "1e-3", *self.steps(extra))

    @staticmethod
    def steps(extra):
        return extra if "--steps" in extra else ("--steps", 4, *extra)

    def test_bits_do_not_depend_on_the_split(self):
        lora = ("--lora-rank", 4)
        rows = (*lora, "--train-embeddings", 32, 101, 116)
        for name, args, read in (
                ("chat", self.chat_args, self.model_bytes),
                ("chat-lora", lambda out, *e: self.chat_args(out, *lora, *e), self.adapter_bytes),
                ("chat-rows", lambda out, *e: self.chat_args(out, *rows, *e), self.adapter_bytes),
                ("dpo", self.dpo_args, self.model_bytes),
                ("dpo-lora", lambda out, *e: self.dpo_args(out, *rows, *e), self.adapter_bytes)):
            for dtype in ("fp32", "bf16"):
                want = None
                for micro_batch, threads in ((1, 1), (2, 2), (5, 1), (12, 2)):
                    out = f"{name}-{dtype}-{micro_batch}"
                    self.run_accrue(*args(out, "--dtype", dtype, "--micro-batch", micro_batch,
                                          "--threads", threads))
                    got = (read(out), [
                        {k: m[k] for k in ("loss", "grad_norm", "tokens", "target_tokens")}
                        for m in self.metrics(out)])
                    want = want or got
                    self.assertEqual(got, want, out)
            self.run_accrue(*args(name + "-control", "--dtype", dtype, "--seed", 1))
            if "dpo" not in name or "lora" in name:  # else nothing is drawn from the seed but order
                self.assertNotEqual(read(name + "-control"), want[0])

    def test_only_answers_count(self):
        self.run_accrue(*self.chat_args("run", "--global-batch", 30, "--steps", 1))
        lines = [json.loads(line) for line in open(self.chats)]
        answers = sum(len(line["completion"]) + 1 for line in lines)
        everything = answers + sum(len(line["prompt"]) - 1 for line in lines)
        metrics = self.metrics("run")[0]
        self.assertEqual(metrics["target_tokens"], answers)
        self.assertEqual(metrics["tokens"], everything)

    def test_resumed_runs_end_with_the_same_bytes(self):
        for name, args, read in (
                ("chat", lambda out, *e: self.chat_args(out, "--lora-rank", 2, *e),
                 self.adapter_bytes),
                ("rows", lambda out, *e: self.dpo_args(
                    out, "--lora-rank", 2, "--train-embeddings", 32, 101, *e),
                 self.adapter_bytes),
                ("dpo", self.dpo_args, self.model_bytes)):
            self.run_accrue(*args(name + "-whole"))
            self.run_accrue(*args(name + "-part", "--steps", 2))
            self.run_accrue("train", "--out", self.path(name + "-part"), "--resume", "--steps", 4)
            self.assertEqual(read(name + "-part"), read(name + "-whole"))
        # What the reference was is kept, not made again from the trained model.
        part = self.folder / "dpo-part" / "reference.safetensors"
        whole = self.folder / "dpo-whole" / "reference.safetensors"
        self.assertEqual(part.read_bytes(), whole.read_bytes())

    def test_preferences_start_at_log_two_and_are_learned(self):
        self.run_accrue(*self.dpo_args("run", "--steps", 12, "--valid-fraction", 0.2))
        metrics = self.metrics("run")
        self.assertAlmostEqual(metrics[0]["loss"], 0.6931471, delta=1e-5)
        self.assertEqual(metrics[0]["reward_margin"], 0)
        self.assertGreater(metrics[-1]["reward_margin"], 0.05)
        self.assertGreater(metrics[-1]["reward_accuracy"], 0.7)
        self.assertIn("valid_loss", metrics[-1])

    def test_frozen_weights_stay_and_the_planner_knows_what_is_saved(self):
        plans = {}
        for name, extra in (("full", ()), ("lora", ("--lora-rank", 2))):
            args = [a for a in self.chat_args("none", *extra)[1:]]
            at = args.index("--micro-batch")
            done = self.run_accrue("plan", *args[:at], *args[at + 2:], "--json")
            plans[name] = json.loads(done.stdout)
        self.assertEqual(plans["full"]["num_parameters"] < plans["lora"]["num_parameters"], True)
        for key in ("gradient_bytes", "optimizer_bytes"):
            self.assertLess(plans["lora"]["account"][key] if "account" in plans["lora"]
                            else plans["lora"][key],
                            (plans["full"]["account"] if "account" in plans["full"]
                             else plans["full"])[key] / 4)

    def test_what_a_run_was_made_from_may_not_change(self):
        self.run_accrue(*self.dpo_args("dpo", "--steps", 1))
        self.run_accrue(*self.chat_args("lora", "--lora-rank", 2, "--steps", 1))
        # Where it lies is free.
        (self.folder / "dpo").rename(self.folder / "moved")
        self.run_accrue("train", "--out", "moved", "--resume", "--steps", 2, cwd=self.folder)
        references = self.folder / "moved/reference.safetensors"
        data = bytearray(references.read_bytes())
        data[-3] ^= 1
        references.write_bytes(data)
        self.run_accrue("train", "--out", self.path("base"), "--resume", "--steps", 3)
        for run, what in (("moved", "reference.safetensors"), ("lora", "the model's weights")):
            done = self.run_accrue("train", "--out", self.path(run), "--resume", "--steps", 2,
                                   expect=3)
            self.assert_error(done, "other contents of", what)

    def test_a_result_is_an_adapter_or_merged(self):
        self.run_accrue(*self.chat_args("run", "--lora-rank", 2, "--lora-targets",
                                        "self_attn.q_proj"))
        self.run_accrue("eval", "--model", self.path("run/model"), "--valid", self.chats)
        resume = ("train", "--out", self.path("run"), "--resume")
        self.run_accrue(*resume, "--merge")
        self.assertFalse((self.folder / "run/model/adapter_config.json").exists())
        self.assertTrue((self.folder / "run/adapter/adapter_config.json").exists())

    def test_an_adapter_moves_with_its_base(self):
        self.run_accrue(*self.chat_args("run", "--lora-rank", 2))
        before = self.run_accrue("eval", "--model", self.path("run/model"), "--valid",
                                 self.chats, "--json").stdout
        pair = self.folder / "pair"
        shutil.copytree(self.folder / "run/model", pair / "adapter")
        shutil.move(self.base, pair / "base")
        path = pair / "adapter/adapter_config.json"
        config = json.loads(path.read_text())
        for name, code in (("../base", 0), (config["base_model_name_or_path"], 3),
                           ("meta/no-such-model", 3)):
            path.write_text(json.dumps(config | {"base_model_name_or_path": name}))
            done = self.run_accrue("eval", "--model", "pair/adapter", "--valid", self.chats,
                                   "--json", cwd=self.folder, expect=code)
            if code == 0:
                self.assertEqual(done.stdout, before)
            else:
                self.assert_error(done, f'was made for "{name}"', "adapter_config.json",
                                  f"hf download {name}")

    def test_weights_that_are_not_there(self):
        (self.folder / "config").mkdir()
        self.write("config/config.json", (self.folder / "llama.json").read_text())
        done = self.train("none", "--model", self.path("config"), "--lora-rank", 2, expect=2)
        self.assert_error(done, "no weights that adapters could belong to")
        self.write("config/model-00001-of-00002.safetensors", "x")
        done = self.train("none", "--model", self.path("config"), expect=3)
        self.assert_error(done, "model-00001-of-00002.safetensors", "Complete the folder")

    def test_verify_passes(self):
        for args in (self.chat_args("x", "--lora-rank", 3), self.dpo_args("x")):
            done = self.run_accrue("verify", *args[1:], "--json")
            self.assertTrue(json.loads(done.stdout)["passed"])

    def test_chat_with_a_tokenizer(self):
        tokenizer = (SOURCE / TOKENIZERS / "llama3.json").read_bytes()
        config = json.loads((self.folder / "llama.json").read_text()) | {"vocab_size": 430}
        (self.folder / "chat").mkdir()
        self.write("chat/config.json", json.dumps(config))
        self.write("chat/tokenizer.json", tokenizer)
        done = self.train("none", "--model", self.path("chat"), "--data", self.chats, "--steps", 1,
                          expect=3)
        self.assert_error(done, "does not say what ends a text", "tokenizer_config.json")
        self.write("chat/tokenizer_config.json", json.dumps({"eos_token": "<|end_of_text|>"}))
        self.train("run", "--model", self.path("chat"), "--data", self.chats, "--steps", 12,
                   "--lr", "1e-2", "--seq-len", 60)
        model = self.path("run/model")
        for name in ("tokenizer.json", "tokenizer_config.json"):
            self.assertEqual((self.folder / "run/model" / name).read_bytes(),
                             (self.folder / "chat" / name).read_bytes())
        # Also if the config was named, and beside checkpoints.
        self.train("file", "--model", self.path("chat/config.json"), "--data", self.chats,
                   "--steps", 1)
        for folder in ("file/model", "file/checkpoints/step-1"):
            self.assertTrue((self.folder / folder / "tokenizer.json").exists())
        args = ["generate", "--model", model, "--prompt", "the whale", "--max-tokens", 12,
                "--temperature", 1, "--json"]
        first = json.loads(self.run_accrue(*args, "--chat").stdout)["text"]
        self.assertEqual(first, json.loads(self.run_accrue(*args, "--chat").stdout)["text"])
        self.assertNotEqual(first, json.loads(self.run_accrue(*args).stdout)["text"])
        done = self.run_accrue(*args, "--chat", "--chat-template", "chatml", expect=2)
        self.assert_error(done, "chatml needs the tokens <|im_start|>")

    def tokenizer_model(self, name, vocab_size):
        """A config beside a tokenizer of 425 tokens, <|eot_id|> being the last."""
        (self.folder / name).mkdir()
        config = json.loads((self.folder / "llama.json").read_text()) | {"vocab_size": vocab_size}
        self.write(f"{name}/config.json", json.dumps(config))
        self.write(f"{name}/tokenizer.json", (SOURCE / TOKENIZERS / "llama3.json").read_bytes())
        self.write(f"{name}/tokenizer_config.json", json.dumps({"eos_token": "<|end_of_text|>"}))
        return self.path(name)

    def test_tokens_without_an_embedding(self):
        small = self.tokenizer_model("small", 424)
        chats = ("--data", self.chats, "--seq-len", 60, "--steps", 1)
        self.train("text", "--model", small, "--steps", 1)
        done = self.train("chats", "--model", small, *chats, expect=3)
        self.assert_error(done, f"line 1 of {self.chats}", "\"<|eot_id|>\" (id 424)",
                          "only 424 embeddings", "resize_token_embeddings(425)")
        self.assertFalse((self.folder / "chats").exists())
        self.train("chats", "--model", self.tokenizer_model("whole", 425), *chats)
        # What begins every text is one of them, too.
        done = self.train("none", "--model", self.tokenizer_model("tiny", 420), "--steps", 1,
                          expect=3)
        self.assert_error(done, self.text, "\"<|begin_of_text|>\" (id 420)")
        model = ("generate", "--model", self.path("text/model"), "--max-tokens", 2, "--prompt")
        self.run_accrue(*model, "the whale")
        for prompt in (("<|eot_id|>",), ("the whale", "--chat")):
            done = self.run_accrue(*model, *prompt, expect=3)
            self.assertIn("the prompt uses the token \"<|eot_id|>\"", done.stderr)

    def test_eval_is_the_validation_loss(self):
        self.train("run", "--model", self.base, "--data", self.chats, "--seq-len", 60, "--steps",
                   2, "--valid", self.chats)
        done = self.run_accrue("eval", "--model", self.path("run/model"), "--valid", self.chats,
                               "--seq-len", 60, "--json")
        result = json.loads(done.stdout)
        self.assertEqual(result["loss"], self.metrics("run")[-1]["valid_loss"])
        self.assertGreater(result["perplexity"], 1)

    def test_embeddings_of_new_tokens_are_trained(self):
        self.tokenizer_model("fresh", 425)
        self.train("base2", "--model", self.path("fresh"), "--data", self.text, "--steps", 1)
        base = self.path("base2/model")
        added = [t["id"] for t in json.loads(
            (self.folder / "base2/model/tokenizer.json").read_text())["added_tokens"]]
        config = lambda out: json.loads(
            (self.folder / out / "model/adapter_config.json").read_text())
        args = ("--model", base, "--data", self.chats, "--seq-len", 60, "--steps", 1,
                "--lora-rank", 2)
        for out, flags, want in (
                ("none", (), None),
                ("bare", ("--train-embeddings",), added),
                ("added", ("--train-embeddings", "added"), added),
                ("named", ("--train-embeddings", "<|eot_id|>", "7"), [22, 424])):
            self.train(out, *args, *flags)
            self.assertEqual(config(out).get("trainable_token_indices"), want, out)
        self.run_accrue("train", "--out", self.path("bare"), "--resume", "--steps", 2)
        done = self.train("run", *args, "--train-embeddings", "<|nothing|>", 425, expect=2)
        self.assert_error(done, "<|nothing|> is no token", "425 is no token")
        done = self.train("run", "--model", self.base, "--steps", 1, "--lora-rank", 2,
                          "--train-embeddings", 300, expect=2)
        self.assert_error(done, "300 is token 300, and the model has 256 embeddings",
                          "resize_token_embeddings()")
        done = self.train("run", "--steps", 1, "--train-embeddings", expect=2)
        self.assert_error(done, "--train-embeddings needs --lora-rank")

    def test_two_models_are_told_apart(self):
        self.train("long", "--model", self.base, "--steps", 20)

        def compare(a, b, *extra):
            return json.loads(self.run_accrue(
                "eval", "--model", a, "--compare", b, "--data", self.text, "--seq-len", 60,
                "--json", *extra).stdout)

        good = self.path("long/model")
        got = compare(self.base, good)
        other = got["compare"]
        alone = json.loads(self.run_accrue(
            "eval", "--model", good, "--data", self.text, "--seq-len", 60, "--json").stdout)
        self.assertEqual(other["loss"], alone["loss"])
        self.assertAlmostEqual(other["difference"], other["loss"] - got["loss"], delta=1e-12)
        self.assertLess(other["high"], 0)
        self.assertLess(other["low"], other["difference"])
        self.assertEqual(other["better"], good)
        self.assertEqual(compare(good, self.base)["compare"]["better"], good)
        same = compare(good, good)["compare"]
        self.assertEqual((same["low"], same["high"], same["better"]), (0, 0, None))
        done = self.run_accrue("eval", "--model", self.base, "--compare", good, "--data",
                               self.text, "--seq-len", 60)
        self.assertIn(f"with 95 % confidence: {good} is better", done.stdout)
        # Other tokens, other losses per token.
        self.tokenizer_model("other", 425)
        self.train("with-tokens", "--model", self.path("other"), "--steps", 1)
        done = self.run_accrue("eval", "--model", good, "--compare", self.path("with-tokens/model"),
                               "--data", self.text, "--seq-len", 60, expect=3)
        self.assert_error(done, "different tokens")

    def test_contradictions_are_named(self):
        done = self.train("none", "--lora-alpha", 3, "--merge", "--objective", "dpo", "--dpo-beta",
                          0, expect=2)
        self.assert_error(done, "need --lora-rank", "--merge needs", "--dpo-beta must be > 0")
        done = self.train("none", "--model", self.base, "--lora-rank", 2, "--lora-targets",
                          "c_attn", "q_proj", expect=2)
        self.assert_error(done, "no linear layer c_attn", "q_proj, k_proj")
        done = self.train("none", "--model", self.base, "--data", self.pairs, expect=3)
        self.assert_error(done, "line 1 of", "--objective dpo")
        done = self.train("none", "--model", self.base, "--objective", "dpo", expect=3)
        self.assert_error(done, "is plain text")
        self.assertFalse((self.folder / "none").exists())


if __name__ == "__main__":
    unittest.main()
