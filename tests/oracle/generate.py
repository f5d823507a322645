#!/usr/bin/env python3
"""Writes the expected values of tests/models_test.cpp and optim_test.cpp.

Run with torch==2.13.0, transformers==5.23.0 and safetensors installed:

    python tests/oracle/generate.py

For a tiny configuration of each family it stores, in fp64: random weights, a
ragged batch with random token weights (some 0), its logits, the weighted loss
sum, every parameter's gradient of sum / weight, the same with adapters beside
some layers, the DPO loss of three pairs with its gradients, and the losses of
ten AdamW steps with clipping and warm-up. Every sample goes through transformers alone, unpadded,
so the ragged stream of the C++ side is checked against the plain thing.
"""

import copy
import json
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.llama import modeling_llama
from transformers.models.mistral import modeling_mistral
from transformers.models.qwen2 import modeling_qwen2
from transformers.models.qwen3 import modeling_qwen3

HERE = pathlib.Path(__file__).parent
VOCAB = 61
STEPS = 10
LR, BETAS, EPS, DECAY, CLIP, WARMUP = 3e-3, (0.9, 0.95), 1e-8, 0.1, 0.5, 3

CONFIGS = {
    "gpt2": {
        "model_type": "gpt2",
        "vocab_size": VOCAB,
        "n_positions": 24,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 2,
        "eos_token_id": 0,
    },
    "llama": {
        "model_type": "llama",
        "vocab_size": VOCAB,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 24,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "eos_token_id": 0,
    },
    "llama_bias": {
        "model_type": "llama",
        "vocab_size": VOCAB,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "num_key_value_heads": 1,
        "head_dim": 6,
        "max_position_embeddings": 24,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500.0},
        "tie_word_embeddings": True,
        "attention_bias": True,
        "mlp_bias": True,
        "eos_token_id": 0,
    },
    "llama3_rope": {
        "model_type": "llama",
        "vocab_size": VOCAB,
        "hidden_size": 32,
        "intermediate_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 24,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_scaling": {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
        },
        "tie_word_embeddings": True,
        "eos_token_id": [0, 3],
    },
    "mistral": {
        "model_type": "mistral",
        "vocab_size": VOCAB,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 48,
        "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1000.0},
        "sliding_window": 24,
        "tie_word_embeddings": False,
        "eos_token_id": 0,
    },
    "qwen2": {
        "model_type": "qwen2",
        "vocab_size": VOCAB,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 24,
        "rope_theta": 1000000.0,
        "use_sliding_window": False,
        "sliding_window": 8,
        "max_window_layers": 1,
        "tie_word_embeddings": True,
        "eos_token_id": 0,
    },
    "qwen3": {
        "model_type": "qwen3",
        "vocab_size": VOCAB,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 10,
        "max_position_embeddings": 24,
        "attention_bias": True,
        "tie_word_embeddings": False,
        "eos_token_id": 0,
    },
}
# Adapters on some layers of every family.
LORA = {"rank": 3, "alpha": 5.0, "targets": ["c_attn", "c_fc", "q_proj", "v_proj", "down_proj"]}
BETA = 0.3


def rms_norm_in_fp64(self, x):
    """transformers casts to fp32 here, which would hide errors below 1e-7."""
    variance = x.pow(2).mean(-1, keepdim=True)
    return self.weight * (x * torch.rsqrt(variance + self.variance_epsilon))


def power_in_fp64(exponent, base):
    """base ** exponent in fp32, correctly rounded: torch's depends on the machine."""
    return torch.pow(base, exponent.double()).to(exponent.dtype)


def rotary_in_fp64(self, x, position_ids):
    """Angles in fp32 as transformers makes them, cosines and sines of these correctly
    rounded: torch's depend on the machine."""
    angles = position_ids[..., None].float() * self.inv_freq.float()
    angles = torch.cat((angles, angles), dim=-1).double()
    return [(f.float() * self.attention_scaling).to(x.dtype) for f in (angles.cos(), angles.sin())]


torch.Tensor.__rpow__ = power_in_fp64
for module, family in ((modeling_llama, "Llama"), (modeling_mistral, "Mistral"),
                       (modeling_qwen2, "Qwen2"), (modeling_qwen3, "Qwen3")):
    getattr(module, f"{family}RMSNorm").forward = rms_norm_in_fp64
    getattr(module, f"{family}RotaryEmbedding").forward = rotary_in_fp64


def make_model(config):
    fields = {k: v for k, v in config.items() if k != "model_type"}
    dropout_free = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
    if config["model_type"] == "gpt2":
        fields |= dropout_free
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(config["model_type"], **fields), attn_implementation="sdpa")
    model = model.double().train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Norm weights and biases too, so that none of them hides at 0 or 1.
            parameter.copy_(torch.randn_like(parameter) * 0.2)
            if parameter.dim() == 1 and "weight" in name:
                parameter.add_(1.0)
    return model


def make_batch(lengths):
    total = sum(lengths)
    weights = torch.rand(total, dtype=torch.float64) * 2
    weights[torch.rand(total) < 0.25] = 0
    return {
        "tokens": torch.randint(0, VOCAB, (total,)),
        "targets": torch.randint(0, VOCAB, (total,)),
        "weights": weights,
        "lengths": torch.tensor(lengths),
    }


def sample_logits(model, batch):
    """Logits and part of the stream, sample by sample."""
    begin = 0
    for length in batch["lengths"].tolist():
        part = slice(begin, begin + length)
        yield model(batch["tokens"][part].unsqueeze(0)).logits[0], part
        begin += length


def loss_sum(model, batch):
    total = 0
    for logits, part in sample_logits(model, batch):
        losses = F.cross_entropy(logits, batch["targets"][part], reduction="none")
        total = total + (losses * batch["weights"][part]).sum()
    return total


def answer_log_probabilities(model, batch):
    """Of every sequence, over the tokens whose weight is not 0."""
    sums = []
    for logits, part in sample_logits(model, batch):
        tokens = logits.log_softmax(-1).gather(1, batch["targets"][part, None])[:, 0]
        sums.append((tokens * (batch["weights"][part] != 0)).sum())
    return torch.stack(sums)


def dpo(model, batch, references):
    """arXiv 2305.18290, equation 7, summed over pairs (2i chosen, 2i + 1 not)."""
    ratios = answer_log_probabilities(model, batch) - references
    margins = BETA * (ratios[0::2] - ratios[1::2])
    return -F.logsigmoid(margins).sum(), margins


def add_adapters(model):
    """Low-rank updates written out: y + scale * (x A^T) B^T."""
    adapters = {}
    for name, module in list(model.named_modules()):
        if name.split(".")[-1] not in LORA["targets"]:
            continue
        conv = module.__class__.__name__ == "Conv1D"
        width_in, width_out = module.weight.shape if conv else module.weight.shape[::-1]
        a = (torch.randn(LORA["rank"], width_in, dtype=torch.float64) * 0.3).requires_grad_()
        b = (torch.randn(width_out, LORA["rank"], dtype=torch.float64) * 0.3).requires_grad_()
        adapters[f"{name}.lora_A.weight"], adapters[f"{name}.lora_B.weight"] = a, b
        module.register_forward_hook(
            lambda _, inputs, out, a=a, b=b:
                out + LORA["alpha"] / LORA["rank"] * (inputs[0] @ a.T) @ b.T)
    return adapters


def train(model, batches):
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    plain = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": DECAY},
         {"params": plain, "weight_decay": 0.0}],
        lr=LR, betas=BETAS, eps=EPS, foreach=False)
    losses, norms = [], []
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = LR * min(1.0, step / WARMUP)
        optimizer.zero_grad()
        loss = loss_sum(model, batch) / batch["weights"].sum()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP))
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses), torch.stack(norms)


def main():
    for name, config in CONFIGS.items():
        torch.manual_seed(7)
        model = make_model(config)
        batches = [
            make_batch(torch.randint(1, 25, (5,)).tolist()) for _ in range(STEPS)
        ]
        tensors = {f"weight.{k}": p.detach().clone() for k, p in model.named_parameters()}
        for i, batch in enumerate(batches):
            tensors |= {f"batch.{i}.{k}": v for k, v in batch.items()}
        total = loss_sum(model, batches[0])
        (total / batches[0]["weights"].sum()).backward()
        tensors["loss_sum"] = total.detach().reshape(1)
        for k, p in model.named_parameters():
            tensors[f"gradient.{k}"] = p.grad.clone()
        model.zero_grad()
        with torch.no_grad():
            tensors["logits"] = torch.cat([l for l, _ in sample_logits(model, batches[0])])
        pairs = make_batch(torch.randint(4, 25, (6,)).tolist())
        tensors |= {f"dpo.{k}": v for k, v in pairs.items()}
        tensors["dpo.references"] = torch.randn(6, dtype=torch.float64) * 3 - 40
        loss, margins = dpo(model, pairs, tensors["dpo.references"])
        loss.backward()
        tensors["dpo.loss"] = loss.detach().reshape(1)
        tensors["dpo.margins"] = margins.detach()
        for k, p in model.named_parameters():
            tensors[f"dpo.gradient.{k}"] = p.grad.clone()
        model.zero_grad()
        adapters = add_adapters(copied := copy.deepcopy(model))
        total = loss_sum(copied, batches[0])
        (total / batches[0]["weights"].sum()).backward()
        tensors["lora.loss_sum"] = total.detach().reshape(1)
        for k, p in adapters.items():
            tensors[f"lora.weight.{k}"] = p.detach().clone()
            tensors[f"lora.gradient.{k}"] = p.grad.clone()
        tensors["curve"], tensors["norms"] = train(model, batches)
        save_file(tensors, HERE / f"{name}.safetensors")
        (HERE / f"{name}.json").write_text(json.dumps(config, indent=2) + "\n")
        print(name, tensors["curve"].tolist())


if __name__ == "__main__":
    main()
