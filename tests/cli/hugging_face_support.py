"""Models of transformers for the tests beside them.

Tests that need torch, transformers and peft skip without them.
"""

import json
import tempfile
import unittest

from support import CliTest

try:
    import peft  # some of the tests need it: all skip without
    import torch
    import torch.nn.functional as F
    from transformers import AutoConfig, AutoModelForCausalLM
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
class TransformersTest(CliTest):
    """Random models of transformers, and their losses on a short text."""

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
