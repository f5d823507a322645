"""Training and adapters beside transformers and PEFT.

Needs torch, transformers and peft; skips without them.
"""

import json
import random
import shlex
import subprocess
import sys
import unittest

from hugging_face_support import FAMILIES, MISSING, SEQ_LEN, TransformersTest
from support import prose

if not MISSING:
    import torch
    import torch.nn.functional as F
    from peft import LoraConfig, PeftModel, get_peft_model
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments


class HuggingFaceTrainingTest(TransformersTest):
    def check_twenty_steps(self, family):
        samples = self.samples()
        folder, model = self.make_model(family)
        # Every step sees all samples, so their order does not matter.
        self.train(f"run-{family}", "--model", folder, "--seq-len", SEQ_LEN, "--global-batch",
                   len(samples), "--steps", 20, "--lr", "1e-3", "--weight-decay", 0,
                   "--beta2", 0.999, "--micro-batch", 3)
        losses = []

        class Watched(Trainer):
            def log(self, logs, *args, **kwargs):
                losses.extend([logs["loss"]] if "loss" in logs else [])

        # The first label is masked, because Trainer counts labels before they are shifted.
        data = [{"input_ids": s, "labels": torch.cat([torch.tensor([-100]), s[1:]])}
                for s in samples]
        longest = max(len(s) for s in samples)

        def collate(items):
            pad = lambda t, value: F.pad(t, (0, longest - len(t)), value=value)
            return {"input_ids": torch.stack([pad(i["input_ids"], 0) for i in items]),
                    "labels": torch.stack([pad(i["labels"], -100) for i in items])}

        Watched(model=model.train(), train_dataset=data, data_collator=collate,
                args=TrainingArguments(
                    output_dir=self.path("trainer"), use_cpu=True, max_steps=20,
                    per_device_train_batch_size=1, gradient_accumulation_steps=len(samples),
                    learning_rate=1e-3, lr_scheduler_type="constant", max_grad_norm=1.0,
                    logging_steps=1, save_strategy="no", report_to=[], seed=1,
                    disable_tqdm=True)).train()
        got = [m["loss"] for m in self.metrics(f"run-{family}")]
        self.assertEqual(len(losses), 20)
        for step, (ours, theirs) in enumerate(zip(got, losses)):
            # Trainer rounds what it logs in some versions, so look at 1e-4.
            self.assertAlmostEqual(ours / theirs, 1, delta=1e-4, msg=f"{family} {step}")

    def test_twenty_steps_of_gpt2_are_those_of_trainer(self):
        self.check_twenty_steps("gpt2")

    def test_twenty_steps_of_llama_are_those_of_trainer(self):
        self.check_twenty_steps("llama")

    def test_twenty_steps_of_mistral_are_those_of_trainer(self):
        self.check_twenty_steps("mistral")

    def test_twenty_steps_of_qwen2_are_those_of_trainer(self):
        self.check_twenty_steps("qwen2")

    def test_twenty_steps_of_qwen3_are_those_of_trainer(self):
        self.check_twenty_steps("qwen3")

    def test_adapters_go_to_peft_and_come_back(self):
        for family in FAMILIES:
            folder, model = self.make_model(family)
            targets = ["c_attn", "c_proj"] if family == "gpt2" else ["q_proj", "down_proj"]
            args = ["--model", folder, "--seq-len", SEQ_LEN, "--steps", 4, "--lr", "1e-2",
                    "--lora-rank", 4, "--lora-alpha", 6, "--lora-targets", *targets]
            self.train(f"{family}-adapter", *args)
            self.train(f"{family}-merged", *args, "--merge")
            adapter = self.path(f"{family}-adapter/model")
            peft = PeftModel.from_pretrained(model, adapter).eval()
            merged, info = AutoModelForCausalLM.from_pretrained(
                self.path(f"{family}-merged/model"), output_loading_info=True)
            self.assertFalse(any(info.values()), info)
            tokens = self.samples()[0][None]
            with torch.no_grad():
                difference = (peft(tokens).logits - merged.eval()(tokens).logits).abs().max()
            self.assertLess(difference.item(), 1e-4, family)
            loss = self.loss(peft)
            self.assertAlmostEqual(self.evaluate(adapter), loss, delta=2e-5)
            # The way back, and further: PEFT's own folder is read and trained on.
            peft.save_pretrained(self.path(f"{family}-peft"))
            self.assertAlmostEqual(self.evaluate(self.path(f"{family}-peft")), loss, delta=2e-5)
            self.train(f"{family}-more", "--model", self.path(f"{family}-peft"), "--seq-len",
                       SEQ_LEN, "--steps", 2)
            self.assertLess(self.evaluate(self.path(f"{family}-more/model")), loss)

    def test_embeddings_are_trained_and_saved_as_peft_does(self):
        rows = [101, 32, 116]  # "e", " " and "t", which the text is full of
        for family in ("gpt2", "llama", "qwen2"):
            folder, model = self.make_model(family)
            tied = model.config.tie_word_embeddings
            base = model.get_input_embeddings().weight.detach().clone()
            head = model.get_output_embeddings().weight.detach().clone()
            targets = ["c_attn"] if family == "gpt2" else ["q_proj", "down_proj"]
            args = ["--model", folder, "--seq-len", SEQ_LEN, "--lora-rank", 4, "--lora-targets",
                    *targets, "--train-embeddings", *rows, "--optimizer", "sgd",
                    "--clip-norm", 0, "--weight-decay", 0, "--momentum", 0]
            self.train(f"{family}-start", *args, "--lr", 0, "--steps", 1)
            self.train(f"{family}-run", *args, "--lr", "0.1", "--global-batch", 17, "--steps", 4)
            adapter = self.path(f"{family}-run/model")
            saved = load_file(adapter + "/adapter_model.safetensors")
            names = [name for name in saved if "trainable_tokens_delta" in name]
            self.assertEqual(len(names), 1 if tied else 2)
            # The same four steps with PEFT from the same start.
            peft = PeftModel.from_pretrained(
                model, self.path(f"{family}-start/model"), is_trainable=True).train()
            sgd = torch.optim.SGD([p for p in peft.parameters() if p.requires_grad], lr=0.1)
            losses = []
            for _ in range(4):
                sgd.zero_grad()
                total = 0
                for sample in self.samples():
                    logits = peft(sample[None, :-1]).logits[0]
                    total = total + F.cross_entropy(logits, sample[1:], reduction="sum")
                total = total / sum(len(s) - 1 for s in self.samples())
                total.backward()
                sgd.step()
                losses.append(total.item())
            self.assertEqual(len(self.samples()), 17)
            peft.save_pretrained(self.path(f"{family}-theirs"))
            theirs = load_file(self.path(f"{family}-theirs/adapter_model.safetensors"))
            self.assertEqual(set(saved), set(theirs))
            for name, tensor in saved.items():
                torch.testing.assert_close(tensor, theirs[name], rtol=1e-4, atol=1e-5)
            for name in names:
                start = head if "lm_head" in name else base
                self.assertGreater((saved[name] - start[sorted(rows)]).abs().max(), 1e-3)
            # What is saved is what was trained, there and back, and merged.
            loaded = PeftModel.from_pretrained(
                AutoModelForCausalLM.from_pretrained(folder), adapter).eval()
            loss = self.loss(loaded)
            self.assertAlmostEqual(self.evaluate(adapter), loss, delta=2e-5)
            self.assertAlmostEqual(self.evaluate(self.path(f"{family}-theirs")), loss, delta=1e-4)
            self.train(f"{family}-merged", *args, "--lr", "0.1", "--global-batch", 17, "--steps", 4,
                       "--merge")
            merged = AutoModelForCausalLM.from_pretrained(self.path(f"{family}-merged/model"))
            self.assertAlmostEqual(self.loss(merged.eval()), loss, delta=2e-5)
            table = merged.get_input_embeddings().weight
            changed = (table != base).any(1).nonzero().flatten().tolist()
            self.assertEqual(changed, sorted(rows))

    def test_an_adapter_that_peft_made_is_read(self):
        folder, model = self.make_model("qwen3")
        peft = get_peft_model(model, LoraConfig(
            r=2, lora_alpha=7, target_modules="all-linear", init_lora_weights=False))
        peft.peft_config["default"].base_model_name_or_path = folder
        peft.save_pretrained(self.path("theirs"))
        self.assertAlmostEqual(self.evaluate(self.path("theirs")), self.loss(peft), delta=2e-5)

    def test_adapters_with_more_than_lora_are_refused_until_merged(self):
        folder, _ = self.make_model("llama")
        for name, options, saving, what in (
                ("modules", {"modules_to_save": ["lm_head"]}, {},
                 '"modules_to_save" is not supported (["lm_head"])'),
                ("embeddings", {}, {"save_embedding_layers": True},
                 "speak of: lm_head.weight, model.embed_tokens.weight")):
            peft = get_peft_model(
                AutoModelForCausalLM.from_pretrained(folder),
                LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False, **options))
            if options:
                with torch.no_grad():
                    head = peft.base_model.model.lm_head.modules_to_save.default.weight
                    head.add_(torch.randn_like(head) * 0.1)
            adapter = self.path(name)
            peft.save_pretrained(adapter, **saving)
            done = self.run_accrue("eval", "--model", adapter, "--valid", self.text, expect=3)
            self.assert_error(done, f"[adapter] {adapter}", "merge_and_unload")
            self.assertIn(what, done.stderr)
            command = done.stderr[done.stderr.index("python -c ") + len("python -c "):]
            subprocess.run([sys.executable, "-c", *shlex.split(command)], check=True,
                           capture_output=True)
            self.assertAlmostEqual(
                self.evaluate(adapter + "-merged"), self.loss(peft.eval()), delta=2e-5)

    def test_preferences_are_those_of_a_plain_loop(self):
        folder, model = self.make_model("llama")
        pick = random.Random(4)
        pairs = [{"prompt": prose(3, i) + " ", "chosen": prose(pick.randint(1, 4), 2 * i),
                  "rejected": prose(pick.randint(1, 4), 3 * i)} for i in range(6)]
        data = self.write("pairs.jsonl", "".join(json.dumps(p) + "\n" for p in pairs))
        self.train("dpo", "--model", folder, "--data", data, "--objective", "dpo", "--dpo-beta",
                   0.5, "--global-batch", 6, "--micro-batch", 2, "--steps", 5, "--lr", "1e-3",
                   "--seq-len", 60, "--weight-decay", 0)

        def log_probability(prompt, answer):
            tokens = torch.tensor(list((prompt + answer).encode()) + [0])
            tokens = tokens[:61]
            logits = model(tokens[None, :-1]).logits[0].log_softmax(-1)
            picked = logits.gather(1, tokens[1:, None])[:, 0]
            return picked[len(prompt.encode()) - 1:].sum()

        with torch.no_grad():
            reference = [[log_probability(p["prompt"], p[k]) for k in ("chosen", "rejected")]
                         for p in pairs]
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95),
                                      weight_decay=0)
        for step, metrics in enumerate(self.metrics("dpo")):
            optimizer.zero_grad()
            margins = torch.stack([
                0.5 * ((log_probability(p["prompt"], p["chosen"]) - c)
                       - (log_probability(p["prompt"], p["rejected"]) - r))
                for p, (c, r) in zip(pairs, reference)])
            loss = -F.logsigmoid(margins).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            self.assertAlmostEqual(metrics["loss"], loss.item(), delta=2e-4, msg=step)
            self.assertAlmostEqual(metrics["reward_margin"], margins.mean().item(), delta=1e-3)
            self.assertAlmostEqual(
                metrics["reward_accuracy"], (margins > 0).float().mean().item(), delta=1e-6)
            self.assertEqual(metrics["samples"], 6)


if __name__ == "__main__":
    unittest.main()
