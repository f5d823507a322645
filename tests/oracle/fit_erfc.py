#!/usr/bin/env python3
"""Prints the coefficients of scaled_erfc in src/tensor/cpu/isa/math.h, highest power first.

e^(z²) erfc(z) / t is nearly a polynomial in t = 1 / (1 + 0.35 z), which takes z from 0 to
infinity to t from 1 to 0. The fit is Chebyshev's, of degree 9, up to the largest z that
GELU asks for (87 / √2). Run with mpmath installed (it comes with torch):

    python tests/oracle/fit_erfc.py
"""

import mpmath as mp

mp.mp.dps = 40
SCALE = mp.mpf("0.35")


def wanted(t):
    z = (1 / t - 1) / SCALE
    return mp.exp(z * z) * mp.erfc(z) / t


coefficients, error = mp.chebyfit(wanted, [1 / (1 + SCALE * 62), 1], 10, error=True)
for coefficient in coefficients:
    print(mp.nstr(coefficient, 10))
print("largest error", mp.nstr(error, 2))
