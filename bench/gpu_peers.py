"""PyTorch's side of bench/gpu.py: one system and one model in a process that takes orders.

Each line of stdin, a micro-batch and a number of steps, is answered by a line of JSON.
"""

import argparse
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

from gpu import settings, text_of
from peers import Gpt, optimizer_of


def rotated(x, cos, sin):
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin


class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, inner = config["hidden_size"], config["intermediate_size"]
        self.heads, self.groups = config["num_attention_heads"], config["num_key_value_heads"]
        self.size = width // self.heads
        linear = lambda a, b: nn.Linear(a, b, bias=False)  # noqa: E731
        self.norm_1 = nn.RMSNorm(width, eps=config["rms_norm_eps"])
        self.norm_2 = nn.RMSNorm(width, eps=config["rms_norm_eps"])
        self.qkv = linear(width, width + 2 * self.groups * self.size)
        self.out = linear(width, width)
        self.gate, self.up = linear(width, inner), linear(width, inner)
        self.down = linear(inner, width)

    def forward(self, x, cos, sin):
        b, t, c = x.shape
        qkv = self.qkv(self.norm_1(x)).view(b, t, -1, self.size).transpose(1, 2)
        q, k, v = qkv.split((self.heads, self.groups, self.groups), 1)
        q, k = rotated(q, cos, sin), rotated(k, cos, sin)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True,
                                               enable_gqa=self.heads != self.groups)
        x = x + self.out(mixed.transpose(1, 2).reshape(b, t, c))
        y = self.norm_2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Llama(nn.Module):
    """Llama as one writes it in PyTorch; returns the sum of the losses."""

    def __init__(self, config):
        super().__init__()
        width, size = config["hidden_size"], config["hidden_size"] // config["num_attention_heads"]
        self.embedding = nn.Embedding(config["vocab_size"], width)
        self.blocks = nn.ModuleList(
            LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = nn.RMSNorm(width, eps=config["rms_norm_eps"])
        self.head = nn.Linear(width, config["vocab_size"], bias=False)
        angles = torch.outer(torch.arange(config["max_position_embeddings"]).float(),
                             10000.0 ** (-torch.arange(0, size, 2).float() / size))
        self.register_buffer("cos", angles.cos().repeat(1, 2).bfloat16())
        self.register_buffer("sin", angles.sin().repeat(1, 2).bfloat16())

    def forward(self, tokens, targets):
        t = tokens.shape[1]
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cos[:t], self.sin[:t])
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")


class Peer:
    def __init__(self, setting, system, device):
        torch.manual_seed(1)
        self.device, self.cuda = device, device != "cpu"
        stream = torch.tensor(list(text_of(setting)) + [0], device=device)
        self.x, self.y = (s.view(-1, setting.tokens) for s in (stream[:-1], stream[1:]))
        with torch.device(device):
            kind = Gpt if setting.config["model_type"] == "gpt2" else Llama
            self.model = kind(setting.config)
        for weight in self.model.parameters():
            if weight.dim() > 1:
                nn.init.normal_(weight, std=0.02)
        self.optimizer = optimizer_of(self.model)
        self.call = torch.compile(self.model) if system == "compile" else self.model

    def wait(self):
        if self.cuda:
            torch.cuda.synchronize()

    def step(self, micro_batch):
        total = torch.zeros((), device=self.device)
        for x, y in zip(self.x.split(micro_batch), self.y.split(micro_batch)):
            with torch.autocast(self.device.split(":")[0], torch.bfloat16):
                loss = self.call(x, y) / self.y.numel()
            loss.backward()
            total += loss.detach()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return total.item()

    def measure(self, micro_batch, steps):
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
        self.step(micro_batch)  # also fills the allocator
        seconds = []
        for _ in range(steps):
            self.wait()
            start = time.perf_counter()
            loss = self.step(micro_batch)
            self.wait()
            seconds.append(time.perf_counter() - start)
        reserved = torch.cuda.max_memory_reserved() if self.cuda else 0
        return {"seconds": seconds, "reserved_bytes": reserved, "loss": loss}

    def rest(self):
        if self.cuda:
            torch.cuda.empty_cache()


def peak_tflops():
    """bf16 products of 8192³ per second: what a library reaches on this card."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    times = []
    for _ in range(20):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(4):
            torch.mm(a, b)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 8 * 8192 ** 3 / statistics.median(times) / 1e12


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("system", choices=["eager", "compile"])
    parser.add_argument("setting")
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    setting = next(s for s in settings(args.device != "cpu") if s.name == args.setting)
    peer = Peer(setting, args.system, args.device)
    facts = {"PyTorch": f"{torch.__version__}, CUDA {torch.version.cuda}"}
    if peer.cuda:
        facts["GPU"] = torch.cuda.get_device_name()
        if args.system == "eager":
            facts["bf16 peak of 8192^3 products, TFLOP/s"] = f"{peak_tflops():.0f}"
    print(json.dumps({"facts": facts}), flush=True)
    for line in sys.stdin:
        micro_batch, steps = map(int, line.split())
        try:
            answer = peer.measure(micro_batch, steps)
        except Exception as error:  # out of memory, or a compiler that fails
            answer = {"error": f"{type(error).__name__}: {str(error)[:600]}"}
            peer.optimizer.zero_grad()
        peer.rest()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
