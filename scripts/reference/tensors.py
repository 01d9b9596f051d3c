"""Tensors and cases of the reference values: exact values beside their storage bytes."""

import base64
import json

import numpy as np
import torch

STORAGE = {
    "f32": np.float32, "f16": np.float16, "bf16": np.uint16, "i32": np.int32, "u32": np.uint32,
    "i8": np.int8, "u8": np.uint8, "bool": np.bool_,
}
FLOATS = ("f32", "f16", "bf16")
INTEGERS = ("i32", "u32", "i8", "u8")


class Tensor:
    """`values`: float64, int64 or bool array of exact values; `storage`: the same as bytes of `dtype`."""

    def __init__(self, dtype, values):
        self.dtype = dtype
        if dtype == "bf16":
            wide = torch.from_numpy(np.array(values, np.float32))
            narrow = wide.to(torch.bfloat16)
            self.storage = narrow.view(torch.int16).numpy().view(np.uint16)
            self.values = narrow.to(torch.float64).numpy()
        elif dtype in FLOATS:
            self.storage = np.array(values).astype(STORAGE[dtype])
            self.values = self.storage.astype(np.float64)
        elif dtype == "bool":
            self.storage = self.values = np.array(values, np.bool_)
        else:
            # Any Python or NumPy integers, taken modulo 2^bits.
            self.storage = np.array(values).astype(np.int64).astype(STORAGE[dtype])
            self.values = self.storage.astype(np.int64)

    @property
    def shape(self):
        return list(self.storage.shape)

    def to_json(self):
        data = base64.b64encode(np.ascontiguousarray(self.storage).tobytes()).decode()
        return {"dtype": self.dtype, "shape": self.shape, "data": data}


class Cases:
    """Collects cases and writes them, one a line."""

    def __init__(self):
        self.lines = []

    def add(self, op, inputs, expected, **attrs):
        """One op application; `expected` is a Tensor."""
        case = {"op": op, "attrs": attrs, "inputs": [t.to_json() for t in inputs], "expected": expected.to_json()}
        self.lines.append(json.dumps(case, separators=(",", ":")))

    def write(self, path):
        with open(path, "w") as file:
            file.write("[\n" + ",\n".join(self.lines) + "\n]\n")


def sequence(dtype, shape, seed=0):
    """Values without pattern or ties: normal floats, integers over a small range, random bools."""
    generator = np.random.default_rng(seed)
    if dtype in FLOATS:
        return Tensor(dtype, generator.normal(size=shape))
    if dtype == "bool":
        return Tensor(dtype, generator.integers(0, 2, size=shape))
    return Tensor(dtype, generator.integers(0 if dtype[0] == "u" else -50, 100, size=shape))
