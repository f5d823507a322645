"""Comparison of safetensors files, without other packages."""

import array
import json
import math
import struct

CODES = {"F64": "d", "F32": "f"}


def read(path):
    """Tensors of a file, by name in order of their place: (dtype, bytes)."""
    with open(path, "rb") as file:
        data = file.read()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    body = data[8 + size:]
    places = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
    return {name: (tensor["dtype"], body[slice(*tensor["data_offsets"])])
            for name, tensor in places}


def values(tensor):
    """Elements of a tensor of read() as numbers."""
    dtype, data = tensor
    if dtype == "BF16":
        halves = array.array("H", data)
        return array.array("f", array.array("I", [half << 16 for half in halves]).tobytes())
    return array.array(CODES[dtype], data)


def first_difference(path, other):
    """Where two files differ: "tensor (n of m elements)"; None: nowhere in their tensors."""
    a, b = read(path), read(other)
    for name in a.keys() | b.keys():
        if name not in a or name not in b:
            return f"{name} (only in one of the files)"
    for name, tensor in a.items():
        if tensor != b[name]:
            if tensor[0] != b[name][0] or len(tensor[1]) != len(b[name][1]):
                return f"{name} (another type or shape)"
            width = {"F64": 8, "F32": 4}.get(tensor[0], 2)
            pairs = zip(*(memoryview(t[1]).cast("B") for t in (tensor, b[name])))
            wrong = {i // width for i, (x, y) in enumerate(pairs) if x != y}
            return f"{name} ({len(wrong)} of {len(tensor[1]) // width} elements)"
    return None


def relative_errors(path, reference):
    """|got - want| / |want| of every tensor (2-norms), by name."""
    got, want = read(path), read(reference)
    if got.keys() != want.keys():
        raise ValueError(f"{path} and {reference} have other tensors")
    errors = {}
    for name in want:
        a, b = values(got[name]), values(want[name])
        norm = math.sqrt(math.fsum(y * y for y in b))
        error = math.sqrt(math.fsum((x - y) ** 2 for x, y in zip(a, b)))
        errors[name] = error / norm if norm > 0 else error
    return errors
