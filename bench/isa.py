#!/usr/bin/env python3
"""Runs a command in which everybody is held to one instruction set.

    isa.py avx2 COMMAND...
"""

import os
import sys

# accrue, LibTorch's own kernels, oneDNN, MKL.
VARIABLES = ("ACCRUE_ISA", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
VALUES = {
    "avx2": ("avx2", "avx2", "AVX2", "AVX2"),
    "avx512": ("avx512", "avx512", "AVX512_CORE", "AVX512"),
    "avx512bf16": ("avx512bf16", "avx512", "AVX512_CORE_BF16", "AVX512"),
}


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in VALUES:
        sys.exit(f"usage: isa.py {'|'.join(VALUES)} COMMAND...")
    os.environ |= dict(zip(VARIABLES, VALUES[sys.argv[1]]))
    os.environ["DNNL_MAX_CPU_ISA"] = os.environ["ONEDNN_MAX_CPU_ISA"]  # its older name
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
