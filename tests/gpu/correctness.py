"""What must hold on a device: it starts, bits, agreement with the CPU, verify, budgets."""

import ctypes
import hashlib
import json
import re
import shutil
import subprocess
import threading

import tensor_files
from parts import Skip, TimeOver, in_parallel, last_json

GIB = 1 << 30


def train_args(bench, out, *extra):
    """Small defaults; what `extra` gives replaces them."""
    args = {"--model": bench.models["gpt2"], "--data": bench.text, "--seq-len": 32,
            "--global-batch": 24, "--micro-batch": 8, "--steps": 4, "--threads": 1,
            "--device": bench.device, "--out": out}
    extra = list(map(str, extra))
    kept = [word for flag, value in args.items() if flag not in extra for word in (flag, value)]
    return [bench.accrue, "train", *kept, *extra]


def losses(out):
    return [json.loads(line)["loss"]
            for line in (out / "metrics.jsonl").read_text().splitlines()]


def weights(out):
    for name in ("model.safetensors", "adapter_model.safetensors"):
        if (out / "model" / name).exists():
            return out / "model" / name
    raise FileNotFoundError(f"{out}/model has no weights")


# ---- a: the device starts ---------------------------------------------------

def smoke(part, bench):
    version = part.run([bench.accrue, "--version"])
    part.check(version.code == 0, "accrue --version", version.out.strip().replace("\n", "; ")
               if version.code == 0 else version.message())
    bench.facts["accrue"] = re.sub(r"  +", " ", version.out.strip()).splitlines()
    versions(bench, version.out)
    for name, dtype in (("gpt2", "fp32"), ("gpt2", "bf16"), ("llama", "fp64")):
        out = bench.work / f"smoke-{name}-{dtype}"
        done = part.run(train_args(bench, out, "--model", bench.models[name], "--dtype", dtype,
                                   "--steps", 2), env=bench.env)
        part.check(done.code == 0, f"2 steps of {name} in {dtype}",
                   f"{done.seconds:.1f} s" if done.code == 0 else done.message())
        if done.code == 0:
            state = json.loads((out / "checkpoints/step-2/state.json").read_text())
            bench.facts["numerics"] = state.get("numerics", "")
            part.data[f"losses {name} {dtype}"] = losses(out)
    part.note(f"numerics: {bench.facts.get('numerics', 'unknown')}")


def versions(bench, version):
    """Versions of the card, its driver and NVRTC, as far as they are to be found."""
    smi = shutil.which("nvidia-smi")
    if bench.gpu and smi:
        done = subprocess.run(
            [smi, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=20)
        bench.facts["card"] = done.stdout.strip()
    if torch := re.search(r"(/\S+)/lib/libtorch_cpu\.so", version):
        folder = bench.path(torch.group(1))
        bench.facts["LibTorch"] = (folder / "version.py").read_text() if (
            folder / "version.py").exists() else ""
        found = re.findall(r"^(?:__version__|cuda)\b.*= *'(.+)'", bench.facts["LibTorch"], re.M)
        bench.facts["LibTorch"] = ", CUDA ".join(found)
        for library in sorted(folder.parent.glob("nvidia/*/lib/libnvrtc.so.*")):
            try:
                major, minor = ctypes.c_int(), ctypes.c_int()
                ctypes.CDLL(str(library)).nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
                bench.facts["NVRTC"] = f"{major.value}.{minor.value}"
            except (OSError, AttributeError) as error:
                bench.facts["NVRTC"] = str(error)


# ---- c: bits ----------------------------------------------------------------

class Case:
    """Runs that must end in the same bytes, and controls that must not."""

    def __init__(self, name, flags, grain, same, controls=(), resumed=False):
        self.name, self.flags, self.controls = name, list(flags), dict(controls)
        grain = ["--grain-tokens", grain] if grain else []
        self.same = {f"micro-batch {n}": [*grain, "--micro-batch", n] for n in same}
        self.controls = {name: flags if "--grain-tokens" in flags else [*grain, *flags]
                         for name, flags in self.controls.items()}
        if resumed:
            self.resumed = {"resumed after 2 steps": [*grain, "--steps", 2],
                            "resumed after --max-time": [*grain, "--max-time", "0.001s"]}
        else:
            self.resumed = {}

    def runs(self):
        return {**self.same, **self.resumed, **self.controls}


def cases(bench):
    short = ["--global-batch", 24, "--dropout", 0.1]
    data = {"packed": ["--data", bench.text],
            "ragged": ["--data", bench.ragged, "--packing", "off"]}
    tune = ["--model", bench.base, "--seq-len", 60, "--lr", "1e-3"]
    seed = {"control: another seed": ["--seed", 2]}
    grain = {"control: other grains": ["--grain-tokens", 160]}
    found = []
    for model in ("gpt2", "llama"):
        for kind in ("packed", "ragged"):
            for dtype in ("fp32", "bf16"):
                flags = ["--model", bench.models[model], *data[kind], "--dtype", dtype, *short]
                found.append(Case(f"{model} {kind} {dtype}", flags, 64, (1, 2, 3, 8, 24), grain,
                                  resumed=(kind, dtype) == ("ragged", "bf16")))
    found.append(Case("llama lora bf16", [*tune, *data["packed"], "--lora-rank", 4, "--dtype",
                                          "bf16", *short], 64, (1, 2, 3, 8, 24), seed))
    found.append(Case("llama dpo fp32", [*tune, "--data", bench.pairs, "--objective", "dpo",
                                         *short], 64, (1, 2, 3, 8, 24), seed))
    # Grains of the default size hold 64 of these samples.
    found += [Case(f"{model} packed {dtype}, default grains",
                   ["--model", bench.models[model], *data["packed"], "--dtype", dtype,
                    "--global-batch", 192, "--dropout", 0.1], None, (1, 64, 100, 192), seed)
              for model, dtype in (("gpt2", "bf16"), ("llama", "fp32"))]
    if not bench.gpu:  # sums on a CPU have grains only by a flag
        found = [case for case in found[:2] + found[6:10]]
    return found


def run_case(part, bench, case, run, out):
    flags = [*case.flags, *case.runs()[run]]
    command = train_args(bench, out, *flags)
    if "--steps" in case.runs()[run]:
        command[command.index("--steps") + 1] = "2"
    done = part.run(command, env=bench.env)
    if done.code != 0:
        return done.message()
    if run in case.resumed:
        done = part.run([bench.accrue, "train", "--out", out, "--resume", "--steps", 4],
                        env=bench.env)
        if done.code != 0:
            return f"--resume: {done.message()}"
    return hashlib.sha256(weights(out).read_bytes()).hexdigest()


def judge(case, folders, digests):
    """(ok, line) of a case whose runs ended in digests or messages."""
    broken = [f"{run}: {digest}" for run, digest in digests.items() if len(digest) != 64]
    if broken:
        return False, f"error in {len(broken)} of {len(digests)} runs, {broken[0]}"
    first = next(iter(case.same))
    wrong = []
    for run in list(case.same)[1:] + list(case.resumed):
        if digests[run] != digests[first]:
            where = tensor_files.first_difference(
                weights(folders[run]), weights(folders[first]))
            wrong.append(f"{run} against {first} in {where}")
    if wrong:
        return False, f"differs ({'; '.join(wrong)})"
    blind = [run for run in case.controls if digests[run] == digests[first]]
    if blind:
        return False, f"equal, but so is {blind[0]}: the comparison sees nothing"
    return True, f"equal ({len(case.same) + len(case.resumed)} runs)"


def make_base(part, bench):
    """Makes a model folder with weights, for adapters and preferences."""
    done = part.run(train_args(bench, bench.work / "base", "--model", bench.models["llama"],
                               "--device", "cpu", "--steps", 2), env=bench.env)
    if done.code != 0:
        part.note(f"no base for fine-tuning: {done.message()}")


def bits(part, bench):
    make_base(part, bench)
    todo = [(case, run) for case in cases(bench) for run in case.runs()]
    folders = {id(case): {} for case, _ in todo}
    digests = {id(case): {} for case, _ in todo}
    for place, (case, run) in enumerate(todo):
        folders[id(case)][run] = bench.work / f"bits-{place}"
    tasks = [lambda case=case, run=run: run_case(part, bench, case, run, folders[id(case)][run])
             for case, run in todo]
    over = None
    for place, digest in in_parallel(bench.jobs, tasks):
        case, run = todo[place]
        if isinstance(digest, TimeOver):
            over = digest
            continue
        digests[id(case)][run] = digest if isinstance(digest, str) else repr(digest)
        if len(digests[id(case)]) == len(case.runs()):
            order = {run: digests[id(case)][run] for run in case.runs()}
            ok, line = judge(case, folders[id(case)], order)
            part.data[case.name] = {"line": line, "digests": order}
            part.check(ok, f"{case.name}: {line}")
            bench.bits.append(f"{case.name}: {line}")
    for case in {id(case): case for case, _ in todo}.values():
        if case.name not in part.data:
            bench.bits.append(f"{case.name}: not finished")
    if over:
        raise over


# ---- d: agreement with the CPU ----------------------------------------------

def agreement(part, bench):
    """On a machine without a GPU, the portable operations against those of the CPU."""
    tasks, runs = [], []
    for model in ("gpt2", "llama"):
        for dtype in ("fp64", "fp32", "bf16"):
            flags = ["--model", bench.models[model], "--dtype", dtype]
            if dtype == "fp64":
                flags += ["--optimizer", "sgd", "--momentum", 0, "--lr", 0.5, "--steps", 2]
            for device in ("device", "cpu"):
                out = bench.work / f"agree-{model}-{dtype}-{device}"
                own = [] if device == "device" else ["--device", "cpu"]
                env = bench.env if device == "device" else {**bench.env, "ACCRUE_BACKEND": "cpu"}
                runs.append(out)
                tasks.append(lambda out=out, flags=flags, own=own, env=env: part.run(
                    train_args(bench, out, *flags, *own), env=env))
    for place, done in in_parallel(bench.jobs, tasks):
        if isinstance(done, Exception):
            raise done
        if done.code != 0:
            part.check(False, runs[place].name, done.message())
    for out in runs[::2]:
        other = out.with_name(out.name.removesuffix("-device") + "-cpu")
        name = out.name.removeprefix("agree-").removesuffix("-device").replace("-", " ")
        if not all((folder / "model").exists() for folder in (out, other)):
            continue
        if "fp64" in name:
            errors = tensor_files.relative_errors(weights(out), weights(other))
            worst = max(errors, key=errors.get)
            text, error, gate = f"largest error of {len(errors)} tensors", errors[worst], 1e-9
            name = f"{name}, {worst}"
        else:
            error = max(abs(a / b - 1) for a, b in zip(losses(out), losses(other)))
            text, gate = "largest error of 4 losses", 1e-5 if "fp32" in name else 2e-2
        part.data[name] = error
        part.check(error <= gate, f"{name}: {text} {error:.1e}, at most {gate:.0e}")


# ---- e: verify --------------------------------------------------------------

def verify(part, bench):
    for dtype in ("bf16", "fp32"):
        done = part.run(
            [bench.accrue, "verify", "--model", bench.large, "--data", bench.book, "--seq-len",
             bench.large_tokens, "--global-batch", 16, "--micro-batch", 4, "--dtype", dtype,
             "--device", bench.device, "--json", *bench.grain], env=bench.env)
        if done.code not in (0, 1) or not done.out.strip():
            part.check(False, f"verify {dtype}", done.message())
            continue
        for check in last_json(done.out)["checks"]:
            tensors = check["tensors"]
            equal = sum(tensor["bits_equal"] for tensor in tensors)
            differing = [tensor["name"] for tensor in tensors if not tensor["bits_equal"]]
            part.check(
                check["passed"] and equal == len(tensors),
                f"verify {dtype}, {check['reference']}: bits equal in {equal} of {len(tensors)} "
                f"tensors, gate {'passed' if check['passed'] else 'not passed'}",
                f"first: {differing[0]}" if differing else "")


# ---- f: budgets -------------------------------------------------------------

class Watch:
    """Samples what a process takes on the GPU: by nvidia-smi's list, else by free memory."""

    def __init__(self, bench):
        self.smi = shutil.which("nvidia-smi") if bench.gpu else None
        self.most_process = self.most_fall = 0
        self.free = self.free_bytes()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def query(self, what):
        done = subprocess.run([self.smi, what, "--format=csv,noheader,nounits"],
                              capture_output=True, text=True, timeout=20)
        return [int(word) << 20 for word in re.findall(r"(\d+)\s*$", done.stdout, re.M)]

    def free_bytes(self):
        return sum(self.query("--query-gpu=memory.free")[:1]) if self.smi else 0

    def watch(self):
        while self.smi and not self.stop.is_set():
            try:
                self.most_fall = max(self.most_fall, self.free - self.free_bytes())
                used = self.query("--query-compute-apps=pid,used_memory")
                self.most_process = max([self.most_process, *used])
            except (subprocess.SubprocessError, OSError):
                pass
            self.stop.wait(0.15)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(5)

    def most(self):
        return self.most_process or self.most_fall


def shown(count):
    return f"{count / GIB:.2f} GiB"


def budgets(part, bench):
    common = ["--model", bench.large, "--data", bench.book, "--seq-len", bench.large_tokens,
              "--global-batch", 64, "--dtype", "bf16", "--device", bench.device, *bench.grain]
    program = 0
    for size in bench.budgets:
        total = size * (1 << 20)
        if not program:
            done = part.run([bench.accrue, "plan", *common, "--memory", f"{size}MiB", "--json"],
                            env=bench.env)
            if done.code == 0:
                plan = last_json(done.out)
                program = plan["program_bytes"]
                part.data["plan"] = plan
                part.check(plan["peak_bytes"] <= total,
                           f"plan {shown(total)}: micro-batch {plan['micro_batch']}, peak "
                           f"{shown(plan['peak_bytes'])}, program {shown(program)}")
            else:
                part.check(False, f"plan {shown(total)}", done.message())
        out = bench.work / f"budget-{size}"
        with Watch(bench) as watch:
            done = part.run([bench.accrue, "train", *common, "--memory", f"{size}MiB", "--steps", 3,
                             "--out", out], env=bench.env)
        if done.code == 0:
            metrics = [json.loads(line)
                       for line in (out / "metrics.jsonl").read_text().splitlines()]
            peak = max(m["peak_bytes"] for m in metrics)
            rollbacks = metrics[-1]["rollbacks"]
            # On a CPU tensors are counted less finely than the whole process.
            ok = peak + program <= total and watch.most() <= total
            line = (f"{shown(total)}: micro-batch {metrics[-1]['micro_batch']}, tensors "
                    f"{shown(peak)} + program {shown(program)}, seen from outside "
                    f"{shown(watch.most()) if watch.most() else 'nothing'}, "
                    f"{rollbacks} rollbacks")
            part.data[str(size)] = {"peak_bytes": peak, "program_bytes": program,
                                    "process_bytes": watch.most_process,
                                    "fall_of_free_bytes": watch.most_fall, "metrics": metrics}
        elif done.code == 4 and size == min(bench.budgets):
            ok, line = True, f"{shown(total)}: refused, {done.err.strip()[:300]}"
        else:
            ok, line = False, f"{shown(total)}: {done.message()}"
        part.check(ok, line)
        bench.budget_lines.append(line if ok else f"{line}: FAILED")
        shutil.rmtree(out, ignore_errors=True)
    done = part.run([bench.accrue, "train", *common, "--memory", bench.too_little, "--steps", 1,
                     "--out", bench.work / "too-little"], env=bench.env)
    part.check(done.code == 4 and "error: [memory]" in done.err,
               f"{bench.too_little}: exit {done.code}", done.err.strip()[:300])


# ---- g: compute-sanitizer ---------------------------------------------------

def sanitize(tool, part, bench):
    program = shutil.which("compute-sanitizer")
    for place in ("/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer"):
        program = program or shutil.which("compute-sanitizer", path=place)
    if not bench.gpu or not program:
        raise Skip("no GPU" if not bench.gpu else "compute-sanitizer is not installed")
    from tests_of_program import names_of
    tests = bench.bin / "accrue_tests"
    names = names_of(part.run([tests, "--gtest_list_tests", "--gtest_filter=*Agreement*cuda*"],
                              env=bench.test_env).out)
    tasks = [lambda name=name: part.run(
        [program, "--tool", tool, "--error-exitcode", 99, tests, f"--gtest_filter={name}"],
        # Without LibTorch's cache the tool sees where every tensor ends.
        env={**bench.test_env, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}) for name in names]
    finished = 0
    for place, done in in_parallel(bench.jobs, tasks):
        if isinstance(done, TimeOver):
            text = getattr(done, "out", "")
        elif isinstance(done, Exception):
            raise done
        else:
            finished += 1
            text = done.out + done.err
        errors = re.findall(r"^========= (?!COMPUTE-SANITIZER|ERROR SUMMARY: 0)(.*)$", text, re.M)
        reports = [line for line in errors if re.search(
            r"Invalid|Race reported|Misaligned|ERROR SUMMARY|Uninitialized|Program hit", line)]
        if reports:
            part.check(False, f"{tool} {names[place]}", " | ".join(errors[:6]))
        elif not isinstance(done, TimeOver):
            part.check(done.code == 0, f"{tool} {names[place]}: no errors",
                       "" if done.code == 0 else f"exit {done.code}, {text.strip()[-300:]}")
    if not finished and not part.checked:
        raise Skip(f"{tool}: none of {len(names)} tests finished in time")
    part.note(f"{tool}: {finished} of {len(names)} tests finished in time")
