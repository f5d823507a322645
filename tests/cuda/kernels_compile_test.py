#!/usr/bin/env python3
"""NVIDIA's compiler accepts the kernels for every architecture.

Registers suffice for blocks of 1024 threads, and none are spilled. No GPU is
needed. Every check has a control that must fail. The environment's NVCC and CXX
may name the compilers.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

KERNELS = pathlib.Path(__file__).resolve().parents[2] / "src" / "tensor" / "cuda" / "kernels"
NVCC = os.environ.get("NVCC") or shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
CXX = os.environ.get("CXX", "c++")
ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
MAX_REGISTERS = 65536 // 1024


def declared(path):
    """Names of the kernels that a source declares, macros expanded."""
    text = subprocess.run([CXX, "-E", "-P", "-x", "c++", str(path)], check=True,
                          capture_output=True, text=True).stdout
    return set(re.findall(r'extern "C" __global__ void\s+(\w+)', text))


def compile_for(architecture, path):
    """Messages of the compilation of a source, and whether it succeeded."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [NVCC, "-cubin", f"-arch={architecture}", "-fmad=false", "-Xptxas", "-v",
             "-Werror", "all-warnings", "-o", str(pathlib.Path(folder) / "kernels.cubin"),
             str(path)], capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def problems(architecture, path):
    """What is wrong with the kernels of a source."""
    succeeded, messages = compile_for(architecture, path)
    if not succeeded:
        return [messages]
    wrong = []
    seen = set()
    for part in re.split(r"Compiling entry function ", messages)[1:]:
        name = part.split("'")[1]
        seen.add(name)
        spilled = re.findall(r"(\d+) bytes spill (?:stores|loads)", part)
        registers = int(re.search(r"Used (\d+) registers", part).group(1))
        if len(spilled) != 2 or any(int(count) > 0 for count in spilled):
            wrong.append(f"{name} spills {spilled} bytes")
        if registers > MAX_REGISTERS:
            wrong.append(f"{name} needs {registers} registers")
    if seen != declared(path):
        wrong.append(f"other kernels than declared: {sorted(seen ^ declared(path))}")
    return wrong


# Many values are alive at a time.
SPILL = """
extern "C" __global__ void __launch_bounds__(1024, 2) spill(float* x, int n) {
  float a[64];
#pragma unroll
  for (int i = 0; i < 64; ++i) a[i] = x[i * 1024 + threadIdx.x];
  for (int j = 0; j < n; ++j) {
#pragma unroll
    for (int i = 0; i < 64; ++i) a[i] = a[i] * a[(i + 7) % 64] + x[j];
  }
#pragma unroll
  for (int i = 0; i < 64; ++i) x[i * 1024 + threadIdx.x] = a[i];
}
"""
MANY_REGISTERS = SPILL.replace("__launch_bounds__(1024, 2)", "").replace("spill", "many")
FINE = 'extern "C" __global__ void fine(float* x) {\n  x[threadIdx.x] = 1;\n}\n'


@unittest.skipUnless(shutil.which(NVCC), f"no nvcc ({NVCC}): kernels are not compiled")
class KernelsCompileTest(unittest.TestCase):
    def test_kernels_compile_without_spills(self):
        self.assertGreater(len(declared(KERNELS / "kernels.cu")), 20)
        for architecture in ARCHITECTURES:
            with self.subTest(architecture):
                self.assertEqual(problems(architecture, KERNELS / "kernels.cu"), [])

    def control(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "control.cu"
            path.write_text(text)
            return problems("sm_80", path)

    def test_control_a_sound_kernel_passes(self):
        self.assertEqual(self.control(FINE), [])

    def test_control_a_spill_is_found(self):
        self.assertRegex("\n".join(self.control(SPILL)), "spill spills")

    def test_control_many_registers_are_found(self):
        self.assertRegex("\n".join(self.control(MANY_REGISTERS)), "many needs")

    def test_control_an_error_is_found(self):
        self.assertRegex("\n".join(self.control(FINE.replace("x[", "y["))), "error")

    def test_control_a_kernel_that_is_not_compiled_is_found(self):
        text = FINE + "#ifndef __CUDACC__\n" + FINE.replace("fine", "missing") + "#endif\n"
        self.assertRegex("\n".join(self.control(text)), "other kernels.*missing")


if __name__ == "__main__":
    unittest.main()
