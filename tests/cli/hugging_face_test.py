"""Models, adapters and training beside transformers and PEFT.

Needs torch, transformers and peft; skips without them.
"""

import json
import pathlib
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

from support import SOURCE, CliTest, prose

try:
    import torch
    import torch.nn.functional as F
    from peft import LoraConfig, PeftModel, get_peft_model
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, AutoModelForCausalLM, Trainer, TrainingArguments
    from transformers.utils import logging
except ImportError as error:
    MISSING = str(error)
else:
    MISSING = ""
    logging.set_verbosity_error()
    logging.disable_progress_bar()

COMMON = {"vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
FAMILIES = {
    "gpt2": {"vocab_size": 300, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4,
             "attn_pdrop": 0, "embd_pdrop": 0, "resid_pdrop": 0},
    "llama": COMMON | {"rope_theta": 500.0, "rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32}},
    "mistral": COMMON | {"head_dim": 12, "sliding_window": 64},
    "qwen2": COMMON | {"tie_word_embeddings": True},
    "qwen3": COMMON | {"head_dim": 12, "attention_bias": False},
}
SEQ_LEN = 24


@unittest.skipIf(MISSING, f"no transformers or peft ({MISSING})")
class HuggingFaceTest(CliTest):
    def setUp(self):
        super().setUp()
        self.corpus = (self.folder / "text.txt").read_bytes()[:SEQ_LEN * 16 + 1]
        self.write("text.txt", self.corpus)

    def make_model(self, family, seed=3, settings=None, **kwargs):
        """A random model, with weights large enough to tell it from others."""
        torch.manual_seed(seed)
        settings = FAMILIES[family] | {"eos_token_id": 0, "bos_token_id": None} | (settings or {})
        config = AutoConfig.for_model(family, **settings)
        model = AutoModelForCausalLM.from_config(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
        folder = tempfile.mkdtemp(prefix=family, dir=self.folder)
        model.to(kwargs.pop("dtype", torch.float32)).save_pretrained(folder, **kwargs)
        return folder, model

    def samples(self):
        """The packed samples of the text, its end included."""
        tokens = list(self.corpus) + [0]
        return [torch.tensor(tokens[i:i + SEQ_LEN + 1])
                for i in range(0, len(tokens) - 1, SEQ_LEN)]

    def loss(self, model):
        total, count = 0.0, 0
        with torch.no_grad():
            for sample in self.samples():
                logits = model(sample[None, :-1]).logits[0].float()
                total += F.cross_entropy(logits, sample[1:], reduction="sum").item()
                count += len(sample) - 1
        return total / count

    def evaluate(self, model, *extra):
        done = self.run_accrue("eval", "--model", model, "--valid", self.text, "--seq-len",
                               SEQ_LEN, "--threads", 1, "--json", *extra)
        return json.loads(done.stdout)["loss"]

    def same_weights(self, out, *extra):
        """A run that changes nothing: reads weights and writes them."""
        self.train(out, "--lr", 0, "--steps", 1, "--seq-len", SEQ_LEN, *extra)
        return self.model_bytes(out)

    def test_every_family_dtype_and_layout_is_read(self):
        for family in FAMILIES:
            for kwargs in ({}, {"max_shard_size": "20KB"}, {"dtype": torch.bfloat16},
                           {"dtype": torch.float16, "max_shard_size": "20KB"}):
                folder, model = self.make_model(family, **kwargs)
                self.assertAlmostEqual(
                    self.evaluate(folder), self.loss(model.float()), delta=2e-5,
                    msg=f"{family} {kwargs}")

    def test_round_trip_keeps_every_byte(self):
        for family in FAMILIES:
            for dtype in (torch.float32, torch.bfloat16):
                folder, _ = self.make_model(family, dtype=dtype)
                name = f"{family}-{dtype}".replace(".", "-")
                first = self.same_weights(name + "-1", "--model", folder)
                model, info = AutoModelForCausalLM.from_pretrained(
                    self.path(f"{name}-1/model"), output_loading_info=True)
                self.assertFalse(any(info.values()), info)
                model.save_pretrained(self.path(name + "-back"))
                again = self.same_weights(name + "-2", "--model", self.path(name + "-back"))
                self.assertEqual(first, again, name)

    def loaded(self, folder):
        """The model as transformers reads it, and what it says of that."""
        logging.set_verbosity_warning()
        self.addCleanup(logging.set_verbosity_error)
        with self.assertLogs("transformers.modeling_utils", "WARNING") as said:
            # assertLogs wants at least one.
            logging.get_logger("transformers.modeling_utils").warning("reading")
            model = AutoModelForCausalLM.from_pretrained(folder).eval()
        return model, "\n".join(said.output)

    def test_a_head_beside_the_embedding_it_is_tied_to(self):
        head = "lm_head.weight"
        for family in FAMILIES:
            embedding = "transformer.wte.weight" if family == "gpt2" else "model.embed_tokens.weight"
            folder, _ = self.make_model(family, settings={"tie_word_embeddings": True})
            path = pathlib.Path(folder) / "model.safetensors"
            rest = load_file(path)
            values = rest.pop(embedding)
            self.assertNotIn(head, rest)
            losses = {}
            for case, tensors in (("equal", {embedding: values, head: values.clone()}),
                                  ("alone", {head: values}),
                                  ("differs", {embedding: values, head: values.flip(0)})):
                save_file(rest | tensors, path, metadata={"format": "pt"})
                model, said = self.loaded(folder)
                losses[case] = self.loss(model)
                done = self.run_accrue("eval", "--model", folder, "--valid", self.text,
                                       "--seq-len", SEQ_LEN, "--quiet", "--json")
                self.assertAlmostEqual(json.loads(done.stdout)["loss"], losses[case], delta=2e-5,
                                       msg=f"{family} {case}")
                self.assertEqual("we will NOT tie them" in said, case == "differs", said)
                self.assertEqual("warning: " in done.stderr, case == "differs", done.stderr)
            self.assertIn(f"ties {head} to {embedding}", done.stderr)
            self.assertGreater(abs(losses["differs"] - losses["equal"]), 1e-3)
            # What is written says so, and nobody has to warn again.
            self.train(f"{family}-run", "--model", folder, "--lr", 0, "--steps", 1)
            model, said = self.loaded(self.path(f"{family}-run/model"))
            self.assertIs(model.config.tie_word_embeddings, False)
            self.assertNotIn("tie", said)
            self.assertAlmostEqual(self.loss(model), losses["differs"], delta=2e-5)

    def test_an_index_beside_the_weights_is_not_used(self):
        folder, model = self.make_model("llama")
        shards, _ = self.make_model("llama", seed=4, max_shard_size="20KB")
        want = self.loss(model)
        self.assertGreater(abs(self.evaluate(shards) - want), 0.01)
        folder = pathlib.Path(folder)
        for file in pathlib.Path(shards).glob("model*"):
            shutil.copy(file, folder)
        for stale in (False, True):
            if stale:
                for file in folder.glob("model-*"):
                    file.unlink()
            done = self.run_accrue("eval", "--model", folder, "--valid", self.text, "--seq-len",
                                   SEQ_LEN, "--quiet", "--json")
            self.assertIn("holds both model.safetensors and model.safetensors.index.json",
                          done.stderr)
            self.assertAlmostEqual(json.loads(done.stdout)["loss"], want, delta=2e-5)
            self.assertAlmostEqual(self.loss(self.loaded(folder)[0]), want, delta=1e-6)

    def test_embeddings_are_added_as_the_message_says(self):
        folder, _ = self.make_model("llama", settings={"vocab_size": 424})
        shutil.copy(SOURCE / "tests/oracle/tokenizers/llama3.json",
                    pathlib.Path(folder) / "tokenizer.json")
        self.write(f"{folder}/tokenizer_config.json",
                   json.dumps({"eos_token": "<|end_of_text|>"}))
        text = self.write("marked.txt", "a sea of men<|eot_id|> " * 200)
        args = ("--model", folder, "--data", text, "--seq-len", SEQ_LEN, "--steps", 1)
        done = self.train("run", *args, expect=3)
        command = done.stderr[done.stderr.index("python -c ") + len("python -c "):]
        subprocess.run([sys.executable, "-c", *shlex.split(command)], check=True,
                       capture_output=True)
        self.train("run", *args)
        config = json.loads((self.folder / "run/model/config.json").read_text())
        self.assertEqual(config["vocab_size"], 425)

    def test_fields_that_tools_leave_in_configs_change_nothing(self):
        left = {"unsloth_fixed": True, "unsloth_version": "2025.12.5", "_name_or_path": "x/y",
                "_commit_hash": "a", "attn_implementation": "sdpa", "torch_dtype": "float32",
                "use_cache": False, "do_sample": True, "temperature": 0.6, "max_length": 2048,
                "tokenizer_model_max_length": 512, "num_labels": 2,
                "auto_map": {"AutoModelForCausalLM": "modeling_x.X"}}
        for family in FAMILIES:
            folder, model = self.make_model(family)
            path = pathlib.Path(folder) / "config.json"
            config = json.loads(path.read_text())
            path.write_text(json.dumps(config | left))
            # They are nothing to transformers either.
            read = AutoModelForCausalLM.from_pretrained(folder).eval()
            self.assertAlmostEqual(self.loss(read), self.loss(model), delta=1e-6)
            self.assertAlmostEqual(self.evaluate(folder), self.loss(model), delta=2e-5)
            path.write_text(json.dumps(config | {"logit_scale": 0.5}))
            done = self.run_accrue("eval", "--model", folder, "--valid", self.text, expect=3)
            self.assertIn('"logit_scale" is not supported', done.stderr)

    def test_rotary_settings_in_either_spelling(self):
        folder, model = self.make_model("llama")
        path = pathlib.Path(folder) / "config.json"
        config = json.loads(path.read_text())
        newer = config.pop("rope_parameters")
        older = {"rope_theta": newer["rope_theta"], "rope_scaling": {
            key: value for key, value in newer.items() if key != "rope_theta"}}
        for spelling in (older, {"rope_parameters": newer}, older | {"rope_parameters": newer}):
            path.write_text(json.dumps(config | spelling))
            read = AutoModelForCausalLM.from_pretrained(folder).eval()
            self.assertAlmostEqual(self.loss(read), self.loss(model), delta=1e-6)
            self.assertAlmostEqual(self.evaluate(folder), self.loss(model), delta=2e-5)
        path.write_text(json.dumps(
            config | older | {"rope_parameters": newer | {"factor": 2.0}}))
        done = self.run_accrue("eval", "--model", folder, "--valid", self.text, expect=3)
        self.assertIn('"factor" is 8 by "rope_theta" and "rope_scaling", 2 by', done.stderr)

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

    def test_what_is_saved_is_rounded_as_torch_rounds(self):
        names = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
        for family in ("gpt2", "llama"):
            folder, _ = self.make_model(family)
            args = ("--model", folder, "--seq-len", SEQ_LEN, "--steps", 2)
            self.train(f"{family}-run", *args)
            trained = load_file(self.path(f"{family}-run/model/model.safetensors"))
            for name, dtype in names.items():
                self.run_accrue("train", "--out", self.path(f"{family}-run"), "--resume",
                                "--save-dtype", name)
                saved = load_file(self.path(f"{family}-run/model/model.safetensors"))
                self.assertEqual(saved.keys(), trained.keys())
                for key, tensor in trained.items():
                    want = tensor.to(dtype)
                    self.assertEqual(saved[key].dtype, dtype)
                    self.assertTrue(torch.equal(saved[key], want), f"{family} {name} {key}")
                model, info = AutoModelForCausalLM.from_pretrained(
                    self.path(f"{family}-run/model"), output_loading_info=True)
                self.assertFalse(any(info.values()), info)
                self.assertEqual((model.dtype, model.config.dtype), (dtype, dtype))
            self.assertFalse(torch.equal(trained[key], trained[key].to(dtype).float()))
            # A run says it from its start, too, and its checkpoints stay as they were trained.
            self.train(f"{family}-half", *args, "--save-dtype", "fp16")
            self.assertEqual(self.model_bytes(f"{family}-half"), self.model_bytes(f"{family}-run"))
            kept = load_file(self.path(f"{family}-half/checkpoints/step-2/model.safetensors"))
            self.assertEqual({t.dtype for t in kept.values()}, {torch.float32})

    def test_values_between_two_go_to_the_even_one(self):
        folder, _ = self.make_model("gpt2")
        path = pathlib.Path(folder) / "model.safetensors"
        tensors = load_file(path)
        positions = tensors["transformer.wpe.weight"]
        # bf16 keeps 7 bits behind the first, fp16 10.
        positions[-1, :4] = torch.tensor([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-11, 1 + 3 * 2**-11])
        save_file(tensors, path, metadata={"format": "pt"})
        for name, want in (("bf16", [1, 1 + 2**-6, 1, 1]),
                           ("fp16", [1 + 2**-8, 1 + 3 * 2**-8, 1, 1 + 2**-9])):
            self.train(name, "--model", folder, "--seq-len", SEQ_LEN, "--steps", 1, "--lr", 0,
                       "--save-dtype", name)
            saved = load_file(self.path(f"{name}/model/model.safetensors"))
            self.assertEqual(saved["transformer.wpe.weight"][-1, :4].tolist(), want)

    def test_values_too_large_for_fp16_are_named(self):
        folder, _ = self.make_model("gpt2")
        path = pathlib.Path(folder) / "model.safetensors"
        tensors = load_file(path)
        for value, code in ((65519.0, 0), (65520.0, 3)):  # rounds to 65504, and to infinity
            tensors["transformer.wpe.weight"][-1, 0] = value
            save_file(tensors, path, metadata={"format": "pt"})
            out = f"run{code}"
            done = self.train(out, "--model", folder, "--seq-len", SEQ_LEN, "--steps", 1, "--lr",
                              0, "--save-dtype", "fp16", expect=code)
        self.assert_error(done, '"transformer.wpe.weight" holds values up to 65520', "F16",
                          "--resume --save-dtype bf16")
        self.assertEqual(sorted(p.name for p in (self.folder / "run3").glob("*model*")), [])
        self.run_accrue("train", "--out", self.path("run3"), "--resume", "--save-dtype", "bf16")
        saved = load_file(self.path("run3/model/model.safetensors"))
        self.assertEqual(saved["transformer.wpe.weight"][-1, 0].item(), 65536)

    def test_an_adapter_is_saved_in_the_dtype_that_is_asked_for(self):
        folder, _ = self.make_model("llama")
        args = ("--model", folder, "--seq-len", SEQ_LEN, "--steps", 2, "--lora-rank", 2, "--lr",
                "1e-2")
        for name, extra in (("adapter", ()), ("merged", ("--merge",))):
            self.train(name, *args, *extra)
            file = f"{name}/model/" + ("adapter_" * (not extra)) + "model.safetensors"
            want = load_file(self.path(file))
            self.run_accrue("train", "--out", self.path(name), "--resume", "--save-dtype", "bf16")
            for key, tensor in load_file(self.path(file)).items():
                self.assertTrue(torch.equal(tensor, want[key].to(torch.bfloat16)), key)
        kept = load_file(self.path("merged/adapter/adapter_model.safetensors"))
        self.assertEqual({t.dtype for t in kept.values()}, {torch.float32})

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
