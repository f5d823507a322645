#!/usr/bin/env python3
"""Throughput of accrue and of a plain PyTorch loop on one GPU.

    bench/gpu.py --accrue build/release/bin/accrue --seconds 170 --out FILE.json

`./dev gpu` calls it. Everybody trains the same shapes on bytes of the same text, from
fresh weights: bf16 products (autocast), SDPA, fused AdamW, gradients accumulated
over the micro-batches of a global batch, the summed loss divided by all targets.
One process per system, all alive at once; they take turns, round by round, and
whoever is not measured waits (accrue is stopped by SIGSTOP). A figure is the
median of all steps of all rounds.

Model FLOPs of a token: 6 N + 6 L C T. N: parameters in matrix products (the tied
head once, no embeddings beside it), 2 FLOPs each forward, 4 backward; L layers of
width C attend to T/2 tokens on average: 2 products of 2 C FLOPs for each of them,
three times. Recomputation is not counted.

torch.compile specializes for the largest micro-batch and for 1; the others share a graph
of dynamic shape, as its defaults have it.
"""

import argparse
import ctypes
import json
import os
import pathlib
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
LLAMA_1B = {"model_type": "llama", "vocab_size": 32000, "max_position_embeddings": 2048,
            "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22,
            "num_attention_heads": 32, "num_key_value_heads": 4, "rms_norm_eps": 1e-5,
            "tie_word_embeddings": False}  # TinyLlama's
TINY = {"model_type": "gpt2", "vocab_size": 256, "n_positions": 64, "n_embd": 64, "n_layer": 2,
        "n_head": 2}


class Setting:
    """A model, its batch, and who is measured at which micro-batches."""

    def __init__(self, name, config, tokens, batch, micro_batches, systems, memory, steps=3):
        self.name, self.config, self.tokens, self.batch = name, config, tokens, batch
        self.micro_batches, self.systems, self.memory = micro_batches, systems, memory
        self.steps = steps  # per turn
        # memory: budget of a planned run. All systems are on the GPU together.


def settings(gpu):
    if not gpu:
        return [Setting("tiny", TINY, 64, 16, (4, 16), ("eager",), "400MiB")]
    gpt2 = json.loads((ROOT / "configs/gpt2-124m/config.json").read_text())
    return [Setting("gpt2-124m", gpt2, 1024, 64, (1, 8, 16, 32), ("eager", "compile"), "20GiB", 2),
            Setting("llama-1b", LLAMA_1B, 2048, 16, (1, 4), ("eager",), None, 2)]


def text_of(setting):
    from pydoc_data.topics import topics
    text = " ".join(topics.values()).encode("ascii", "replace")
    return text[:setting.batch * setting.tokens]


def end_with_parent():
    """Lets the kernel kill this process when its parent ends (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class PeerProcess:
    def __init__(self, args, setting, system, folder):
        self.log = open(folder / f"{setting.name}-{system}.log", "w+")
        self.child = subprocess.Popen(
            [sys.executable, ROOT / "bench" / "gpu_peers.py", system, setting.name, "--device",
             args.device], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
            text=True, bufsize=1, start_new_session=True,
            preexec_fn=end_with_parent)
        self.facts = None

    def read(self, deadline):
        """The next answer, or None if there is none yet."""
        ready, _, _ = select.select([self.child.stdout], [], [],
                                    max(0, deadline - time.monotonic()))
        if not ready:
            return None
        line = self.child.stdout.readline()
        if not line:
            self.log.seek(0)
            return {"error": f"ended: {self.log.read()[-600:]}"}
        return json.loads(line)

    def ask(self, micro_batch, steps):
        try:
            self.child.stdin.write(f"{micro_batch} {steps}\n")
        except (BrokenPipeError, OSError):
            pass  # the answer says so

    def measure(self, micro_batch, steps, deadline):
        self.ask(micro_batch, steps)
        return self.read(deadline)

    def end(self):
        stop(self.child)


class Accrue:
    """A run that goes on while it is measured and is stopped between."""

    def __init__(self, args, setting, micro_batch, folder):
        self.out = folder / f"{setting.name}-{micro_batch}"
        model = folder / f"{setting.name}.json"
        model.write_text(json.dumps(setting.config))
        text = folder / f"{setting.name}.txt"
        text.write_bytes(text_of(setting))
        size = ["--memory", setting.memory] if micro_batch == "planned" else [
            "--micro-batch", str(micro_batch)]
        self.log = open(folder / f"{self.out.name}.log", "w+")
        self.child = subprocess.Popen(
            [args.accrue, "train", "--model", model, "--data", text, "--seq-len",
             str(setting.tokens), "--global-batch", str(setting.batch), "--dtype", "bf16",
             "--device", args.device, "--steps", "100000", "--quiet", "--out", self.out, *size],
            stdout=self.log, stderr=self.log, start_new_session=True,
            preexec_fn=end_with_parent)
        self.stopped = False

    def metrics(self):
        path = self.out / "metrics.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines(keepends=True)
                if line.endswith("\n")]

    def wait_for(self, count, deadline):
        while len(self.metrics()) < count:
            if self.child.poll() is not None:
                self.log.seek(0)
                return {"error": f"exit {self.child.returncode}: {self.log.read()[-600:]}"}
            if time.monotonic() > deadline:
                return None
            time.sleep(0.005)
        return {}

    def pause(self):
        if not self.stopped and self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGSTOP)
            self.stopped = True

    def measure(self, _, steps, deadline):
        begin = len(self.metrics())
        if self.stopped:
            os.killpg(self.child.pid, signal.SIGCONT)
            self.stopped = False
        # The first step has the pause in it, the second may have been begun before.
        answer = self.wait_for(begin + 2 + steps, deadline)
        self.pause()
        if answer == {}:
            fresh = self.metrics()[begin + 2:]
            answer = {"seconds": [m["step_s"] for m in fresh], "loss": fresh[-1]["loss"],
                      "reserved_bytes": max(m["peak_bytes"] for m in self.metrics()),
                      "micro_batch": fresh[-1]["micro_batch"]}
        return answer

    def end(self):
        stop(self.child)


def stop(child):
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def token_flops(setting):
    """Model FLOPs of a token; the formula is above."""
    c = setting.config
    if c["model_type"] == "gpt2":
        width, layers = c["n_embd"], c["n_layer"]
        products = layers * 12 * width ** 2 + width * c["vocab_size"]
    else:
        width, layers = c["hidden_size"], c["num_hidden_layers"]
        groups = c["num_key_value_heads"] * width // c["num_attention_heads"]
        products = layers * (2 * width ** 2 + 2 * width * groups
                             + 3 * width * c["intermediate_size"]) + width * c["vocab_size"]
    return 6 * products + 6 * layers * width * setting.tokens


class Driver:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.deadline = time.monotonic() + args.seconds
        self.result = {"facts": {}, "notes": [], "rows": [], "table": []}

    def left(self):
        return self.deadline - time.monotonic()

    def run(self, setting, seconds):
        """Measures one setting within so many seconds."""
        end = min(self.deadline, time.monotonic() + seconds)
        turns, waiting, peers = [], {}, {}
        try:
            if setting.memory:  # measures free memory: it begins alone
                self.begin(setting, "planned", turns, min(end, time.monotonic() + seconds / 3))
            for system in setting.systems:
                peers[system] = waiting[system] = PeerProcess(
                    self.args, setting, system, self.folder)
            for micro_batch in setting.micro_batches:
                self.begin(setting, micro_batch, turns, end)
            self.rounds(setting, turns, waiting, end)
        finally:
            for owner in [*peers.values(), *(turn[2] for turn in turns)]:
                owner.end()

    def begin(self, setting, micro_batch, turns, deadline):
        """Starts a run of accrue and stops it after its first step."""
        run = Accrue(self.args, setting, micro_batch, self.folder)
        answer = run.wait_for(1, deadline)
        run.pause()
        if answer != {}:
            self.note(setting, "accrue", micro_batch, answer or "not ready in time")
        if run.child.poll() is None:
            turns.append(("accrue", micro_batch, run))

    def admit(self, setting, waiting, turns, pending):
        """Lets peers take turns that have answered to every micro-batch once."""
        for system, peer in list(waiting.items()):
            if (answer := peer.read(time.monotonic())) is None:
                continue
            if "facts" in answer:
                self.result["facts"].update(answer["facts"])
                # The largest first: it is compiled for its shape alone.
                pending[system] = sorted(setting.micro_batches, reverse=True)
            elif "error" in answer:
                self.note(setting, system, pending[system][0] if pending.get(system) else "",
                          answer)
                pending[system] = pending.get(system, [0])[1:]
                if peer.child.poll() is not None:
                    pending[system] = []
            else:
                turns.append((system, pending[system].pop(0), peer))
            if pending[system]:
                peer.ask(pending[system][0], 1)  # compiles, too
            else:
                del waiting[system]

    def rounds(self, setting, turns, waiting, end):
        samples, pending = {}, {}
        while time.monotonic() < end:
            quiet = not waiting
            self.admit(setting, waiting, turns, pending)
            # Two rounds beside a compiler, in case it doesn't end in time. They do not count
            # if there are others.
            enough = min(map(len, samples.values()), default=0) >= 2
            if waiting and (enough or not turns or "compile" not in waiting):
                time.sleep(0.05)
                continue
            if not turns:
                break
            busy = {id(peer) for peer in waiting.values()}
            for system, micro_batch, owner in list(turns):
                if id(owner) in busy:
                    continue
                answer = owner.measure(micro_batch, setting.steps, end)
                if answer is None:
                    break
                if "error" in answer:
                    self.note(setting, system, micro_batch, answer)
                    turns.remove((system, micro_batch, owner))
                    continue
                samples.setdefault((system, micro_batch), []).append((quiet, answer))
            self.rows(setting, samples)
            if quiet and min(map(len, samples.values()), default=0) >= 8:
                break
        for system in waiting:
            self.note(setting, system, "", "not ready in time")

    def note(self, setting, system, micro_batch, answer):
        reason = answer["error"] if isinstance(answer, dict) else answer
        self.result["notes"].append(f"{setting.name} {system} {micro_batch}: {reason}")
        self.write()

    def rows(self, setting, samples):
        rows = [row for row in self.result["rows"] if row["model"] != setting.name]
        for (system, micro_batch), answers in samples.items():
            chosen = [a for quiet, a in answers if quiet] or [a for _, a in answers]
            seconds = [s for answer in chosen for s in answer["seconds"]]
            per_second = setting.batch * setting.tokens / statistics.median(seconds)
            rows.append({
                "model": setting.name, "system": system,
                "micro_batch": chosen[-1].get("micro_batch", micro_batch),
                "planned": micro_batch == "planned", "tokens_per_s": per_second,
                "tflops": per_second * token_flops(setting) / 1e12, "rounds": len(chosen),
                "quiet": any(quiet for quiet, _ in answers), "seconds": seconds,
                "reserved_bytes": max(a["reserved_bytes"] for a in chosen),
                "loss": chosen[-1]["loss"]})
        self.result["rows"] = rows
        self.write()

    def write(self):
        peak = float(self.result["facts"].get("bf16 peak of 8192^3 products, TFLOP/s", 0))
        lines = ["| model | system | micro-batch | tokens/s | TFLOP/s | of peak | GiB | rounds |",
                 "|---|---|---|---|---|---|---|---|"]
        for row in self.result["rows"]:
            share = f"{row['tflops'] / peak:.2f}" if peak else ""
            lines.append(
                f"| {row['model']} | {row['system']}{' (planned)' if row['planned'] else ''} | "
                f"{row['micro_batch']} | {row['tokens_per_s']:.0f} | {row['tflops']:.2f} | {share} | "
                f"{row['reserved_bytes'] / 2 ** 30:.2f} | "
                f"{row['rounds']}{'' if row['quiet'] else ', beside a compiler'} |")
        self.result["table"] = lines
        part = self.args.out.with_suffix(".part")
        part.write_text(json.dumps(self.result))
        part.replace(self.args.out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accrue")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=170)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="accrue-throughput-"))
    driver = Driver(args, folder)
    driver.write()
    try:
        todo = settings(args.device != "cpu")
        for place, setting in enumerate(todo):
            share = 1.0 if place == len(todo) - 1 else 0.65
            driver.run(setting, share * driver.left())
    finally:
        driver.write()
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join([*driver.result["notes"], *driver.result["table"]]))


if __name__ == "__main__":
    main()
