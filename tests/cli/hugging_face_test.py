"""Folders of models beside transformers: read, written, saved in any dtype.

Needs torch, transformers and peft; skips without them.
"""

import json
import pathlib
import shlex
import shutil
import subprocess
import sys
import unittest

from hugging_face_support import FAMILIES, MISSING, SEQ_LEN, TransformersTest
from support import SOURCE

if not MISSING:
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging


class HuggingFaceTest(TransformersTest):
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


if __name__ == "__main__":
    unittest.main()
