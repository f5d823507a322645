#!/usr/bin/env python3
"""Writes the expected values of tests/models_test.cpp and optim_test.cpp.

Run with torch==2.13.0, transformers==5.23.0 and safetensors installed:

    python tests/oracle/generate.py

For a tiny configuration of each family it stores, in fp64: random weights, a
ragged batch with random token weights (some 0), the weighted loss sum, every
parameter's gradient of sum / weight, and the losses of ten AdamW steps with
clipping and warm-up. Every sample goes through transformers alone, unpadded,
so the ragged stream of the C++ side is checked against the plain thing.
"""

import json
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.models.llama import modeling_llama

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
}


def rms_norm_in_fp64(self, x):
    """transformers casts to fp32 here, which would hide errors below 1e-7."""
    variance = x.pow(2).mean(-1, keepdim=True)
    return self.weight * (x * torch.rsqrt(variance + self.variance_epsilon))


modeling_llama.LlamaRMSNorm.forward = rms_norm_in_fp64


def make_model(config):
    fields = {k: v for k, v in config.items() if k != "model_type"}
    dropout_free = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
    if config["model_type"] == "gpt2":
        model = GPT2LMHeadModel(
            GPT2Config(**fields, **dropout_free, attn_implementation="sdpa")
        )
    else:
        model = LlamaForCausalLM(LlamaConfig(**fields, attn_implementation="sdpa"))
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


def loss_sum(model, batch):
    total = 0
    begin = 0
    for length in batch["lengths"].tolist():
        part = slice(begin, begin + length)
        logits = model(batch["tokens"][part].unsqueeze(0)).logits[0]
        losses = F.cross_entropy(logits, batch["targets"][part], reduction="none")
        total = total + (losses * batch["weights"][part]).sum()
        begin += length
    return total


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
        tensors["curve"], tensors["norms"] = train(model, batches)
        save_file(tensors, HERE / f"{name}.safetensors")
        (HERE / f"{name}.json").write_text(json.dumps(config, indent=2) + "\n")
        print(name, tensors["curve"].tolist())


if __name__ == "__main__":
    main()
