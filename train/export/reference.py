#!/usr/bin/env python3
"""Prints the fingerprints that the test `blocks_are_those_of_llama_cpp` in quantize.rs expects.

  python -m venv venv && venv/bin/pip install xllamacpp numpy && venv/bin/python reference.py

The quantizers are llama.cpp's own, out of the shared library in the PyPI package xllamacpp.
"""
import ctypes
import importlib.util
import os

import numpy as np

TYPES = {"Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20), "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34),
         "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210)}


def bell(count):
    """Sums of four 16-bit parts of a linear congruence: the same numbers in any language."""
    state, values = 1, []
    for _ in range(count):
        total = 0
        for _ in range(4):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            total += state >> 48
        values.append((total - 131070) / 1048576)
    return np.array(values, dtype=np.float32)


def fingerprint(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


folder = os.path.dirname(importlib.util.find_spec("xllamacpp").origin)
library = ctypes.CDLL(os.path.join(folder, next(name for name in os.listdir(folder) if name.endswith(".so"))))
library.ggml_quantize_chunk.restype = ctypes.c_size_t
library.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + [ctypes.c_int64] * 3 + [ctypes.c_void_p]
weights = bell(1 << 16)
for name, (number, block, size) in TYPES.items():
    out = np.zeros(weights.size // block * size, dtype=np.uint8)
    written = library.ggml_quantize_chunk(number, weights.ctypes.data, out.ctypes.data, 0, weights.size // 1024, 1024, None)
    assert written == out.size, (name, written, out.size)
    print(f"(Encoding::{name}, 0x{fingerprint(out.tobytes()):016x}),")
