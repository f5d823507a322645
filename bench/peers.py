"""One peer, one configuration, one process: trains GPT-2 on the bench's weights
and data the way its users do, and prints one JSON line. bench/run.py calls it.

Systems: eager (a plain PyTorch loop), compile (the same under torch.compile),
accelerate and trainer (Hugging Face, on transformers' GPT2LMHeadModel), and
floor (no training: the speed of a step's matrix products alone).
"""

import argparse
import json
import os
import time

import torch
import torch.nn.functional as F
from torch import nn


def status(field):
    """A line of /proc/self/status in bytes."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, c = x.shape
        qkv = self.qkv(self.ln_1(x)).view(b, t, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.ln_2(x)), approximate="tanh"))


class Gpt(nn.Module):
    """GPT-2 as one writes it in PyTorch; returns the sum of the losses."""

    def __init__(self, config):
        super().__init__()
        width = config["n_embd"]
        self.wte = nn.Embedding(config["vocab_size"], width)
        self.wpe = nn.Embedding(config["n_positions"], width)
        self.blocks = nn.ModuleList(Block(width, config["n_head"]) for _ in range(config["n_layer"]))
        self.ln_f = nn.LayerNorm(width)

    def forward(self, tokens, targets):
        x = self.wte(tokens) + self.wpe.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.ln_f(x), self.wte.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")

    def load(self, folder):
        from safetensors.torch import load_file
        names = {"ln_1": "ln_1", "ln_2": "ln_2", "attn.c_attn": "qkv", "attn.c_proj": "out",
                 "mlp.c_fc": "up", "mlp.c_proj": "down"}
        state = {}
        for name, tensor in load_file(f"{folder}/model.safetensors").items():
            name = name.removeprefix("transformer.")
            if name.startswith("h."):
                _, layer, rest = name.split(".", 2)
                part, kind = rest.rsplit(".", 1)
                name = f"blocks.{layer}.{names[part]}.{kind}"
                if tensor.dim() == 2:
                    tensor = tensor.t().contiguous()
            state[name] = tensor
        self.load_state_dict(state)


def optimizer_of(model):
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    return torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        lr=3e-4, betas=(0.9, 0.95), fused=True)


class Data:
    def __init__(self, args):
        with open(args.data, "rb") as file:
            stream = torch.tensor(list(file.read()) + [0])
        self.x = stream[:-1].view(-1, args.seq_len)
        self.y = stream[1:].view(-1, args.seq_len)


def plain(args, data, compiled):
    with open(f"{args.model}/config.json") as file:
        model = Gpt(json.load(file))
    model.load(args.model)
    optimizer = optimizer_of(model)
    run = torch.compile(model) if compiled else model

    def step():
        total = 0.0
        for x, y in zip(data.x.split(args.micro_batch), data.y.split(args.micro_batch)):
            with torch.autocast("cpu", torch.bfloat16, enabled=args.dtype == "bf16"):
                loss = run(x, y) / data.y.numel()
            loss.backward()
            total += loss.item()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return total
    return timed(args, step)


def timed(args, step):
    first = step()
    seconds = []
    for _ in range(args.steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return first, seconds


def hugging_face(args):
    from transformers import GPT2LMHeadModel
    return GPT2LMHeadModel.from_pretrained(
        args.model, attn_implementation="sdpa", attn_pdrop=0, embd_pdrop=0, resid_pdrop=0,
        use_cache=False)


def accelerate(args, data):
    from accelerate import Accelerator
    rows = len(data.x)
    accelerator = Accelerator(
        cpu=True, mixed_precision="bf16" if args.dtype == "bf16" else "no",
        gradient_accumulation_steps=rows // args.micro_batch)
    model = hugging_face(args)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(data.x, data.y), batch_size=args.micro_batch)
    model, optimizer, loader = accelerator.prepare(model, optimizer_of(model), loader)

    def step():
        total = 0.0
        for x, y in loader:
            with accelerator.accumulate(model):
                logits = model(input_ids=x).logits
                loss = F.cross_entropy(logits.float().flatten(0, 1), y.flatten())
                accelerator.backward(loss)
                total += loss.item() * len(x) / rows
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
        return total
    return timed(args, step)


def trainer(args, data):
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Clock(TrainerCallback):
        def __init__(self):
            self.ends, self.losses = [], []

        def on_step_end(self, *_, **__):
            self.ends.append(time.perf_counter())

        def on_log(self, _args, _state, _control, logs=None, **_):
            if "loss" in logs:
                self.losses.append(logs["loss"])
    # GPT-2 shifts labels itself, so that a sample needs one token more, and the
    # Trainer divides by its labels before the shift: the first is no target.
    rows = [{"input_ids": torch.cat([x, y[-1:]]), "labels": torch.cat([y[:1] * 0 - 100, y])}
            for x, y in zip(data.x, data.y)]
    clock = Clock()
    settings = TrainingArguments(
        output_dir=args.scratch, use_cpu=True, bf16=args.dtype == "bf16",
        per_device_train_batch_size=args.micro_batch,
        gradient_accumulation_steps=len(rows) // args.micro_batch, max_steps=args.steps + 1,
        learning_rate=3e-4, adam_beta2=0.95, weight_decay=0.1, max_grad_norm=1.0,
        lr_scheduler_type="constant", optim="adamw_torch_fused", logging_steps=1,
        save_strategy="no", report_to=[], disable_tqdm=True)
    Trainer(model=hugging_face(args), args=settings, train_dataset=rows, callbacks=[clock]).train()
    return clock.losses[0], [b - a for a, b in zip(clock.ends, clock.ends[1:])]


def floor(args):
    """Tokens per second if a step were its matrix products at LibTorch's rate for their shapes."""
    with open(f"{args.model}/config.json") as file:
        config = json.load(file)
    width, layers, vocab = config["n_embd"], config["n_layer"], config["vocab_size"]
    tokens = 2048 if vocab < 1000 else 1024
    dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
    shapes = [(width, 3 * width)] * layers + [(width, width)] * layers
    shapes += [(width, 4 * width)] * layers + [(4 * width, width)] * layers + [(width, vocab)]

    def seconds(m, n, k):
        a, b, c = torch.ones(m, k, dtype=dtype), torch.ones(k, n, dtype=dtype), torch.empty(m, n, dtype=dtype)
        times = []
        for _ in range(7):
            start = time.perf_counter()
            torch.mm(a, b, out=c)
            times.append(time.perf_counter() - start)
        return sorted(times)[3]
    cost = {(k, n): seconds(tokens, n, k) + seconds(tokens, k, n) + seconds(k, n, tokens)
            for k, n in sorted(set(shapes))}
    flops = sum(6 * tokens * k * n for k, n in shapes)
    total = sum(cost[shape] for shape in shapes)
    return {"tokens_per_s": tokens / total, "gemm_gflops": flops / total / 1e9}


def load_program(system):
    """Everything that is imported on the way; it is not part of the model's memory."""
    toy = nn.Linear(1, 1)
    run = torch.compile(toy) if system == "compile" else toy
    optimizer = optimizer_of(toy)
    run(torch.ones(1, 1)).sum().backward()
    optimizer.step()
    if system in ("accelerate", "trainer"):
        import accelerate as _
        import transformers
        from transformers import GPT2LMHeadModel, Trainer  # loads their modules
        del GPT2LMHeadModel, Trainer
        transformers.logging.set_verbosity_error()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("system", choices=["eager", "compile", "accelerate", "trainer", "floor"])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data")
    parser.add_argument("--seq-len", type=int)
    parser.add_argument("--micro-batch", type=int)
    parser.add_argument("--dtype", default="fp32")
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--scratch")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.system == "floor":
        print(json.dumps(floor(args)))
        return
    load_program(args.system)
    data = Data(args)
    baseline = status("VmRSS")
    if args.system == "accelerate":
        loss, seconds = accelerate(args, data)
    elif args.system == "trainer":
        loss, seconds = trainer(args, data)
    else:
        loss, seconds = plain(args, data, args.system == "compile")
    print(json.dumps({"loss": loss, "seconds": seconds, "baseline_bytes": baseline,
                      "peak_bytes": status("VmHWM")}))


if __name__ == "__main__":
    main()
