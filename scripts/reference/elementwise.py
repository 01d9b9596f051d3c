"""Reference values of elementwise ops: NumPy in double precision, rounded once; Python for integers."""

import math

import numpy as np
import torch

from tensors import FLOATS, INTEGERS, Tensor

NAN, INF = math.nan, math.inf
UNARY_EDGES = [
    0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3.49, NAN, INF, -INF, 1e-45, 1e-40, -1e-40, 6e-8, 1.17549435e-38,
    3.4028235e38, -3.4028235e38, 1e-8, -1e-4, 0.1, 0.33, 0.9, -0.99, 2, 3.14159, -7.7, 10.25, -12, 20, 88.7, 89.5, -87.5,
    -104, 65519, 65504, 1000.5, 8388609, -1e10,
]
BINARY_EDGES = [0.0, -0.0, 1, -1, 2, -3.5, 0.25, 1e-40, NAN, INF, -INF, 3e38, 60000]
INTEGER_EDGES = {
    "i32": [0, 1, -1, 2, 7, -13, 31, 65537, 2**31 - 1, -(2**31)],
    "u32": [0, 1, 2, 7, 31, 33, 65537, 2**31, 2**32 - 1],
    "i8": [0, 1, -1, 3, 7, 8, -13, 100, 127, -128],
    "u8": [0, 1, 2, 7, 9, 100, 128, 255],
}
BITS = {"i32": 32, "u32": 32, "i8": 8, "u8": 8}

FLOAT_UNARY = {
    "neg": np.negative, "abs": np.abs, "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "round": np.rint,
    "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "exp": np.exp, "expm1": np.expm1, "log": np.log,
    "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tan": np.tan, "tanh": np.tanh,
    "erf": lambda x: torch.erf(torch.from_numpy(x)).numpy(),
    "logistic": lambda x: torch.sigmoid(torch.from_numpy(x)).numpy(),
}
FLOAT_BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "rem": np.fmod, "pow": np.power,
    "max": np.maximum, "min": np.minimum, "atan2": np.arctan2,
}
COMPARE = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}
# Where |x| is huge, sine and cosine of different libraries agree only if both reduce the angle exactly.
TRIGONOMETRIC = {"sin", "cos", "tan"}


def truncated(a, b):
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def integer_pow(a, b, bits):
    if b >= 0:
        return pow(a, b, 2**bits)
    return {1: 1, -1: -1 if b % 2 else 1}.get(a, 0)


def shifted_right(a, b, dtype):
    amount = b % 2 ** BITS[dtype]
    return a >> min(amount, BITS[dtype])


INTEGER_BINARY = {
    "add": lambda a, b, t: a + b,
    "sub": lambda a, b, t: a - b,
    "mul": lambda a, b, t: a * b,
    "div": lambda a, b, t: truncated(a, b) if b else -1,
    "rem": lambda a, b, t: a - b * truncated(a, b) if b else a,
    "pow": lambda a, b, t: integer_pow(a, b, BITS[t]),
    "max": lambda a, b, t: max(a, b),
    "min": lambda a, b, t: min(a, b),
    "and": lambda a, b, t: a & b,
    "or": lambda a, b, t: a | b,
    "xor": lambda a, b, t: a ^ b,
    "shift_left": lambda a, b, t: a << b % 2 ** BITS[t] if b % 2 ** BITS[t] < BITS[t] else 0,
    "shift_right": lambda a, b, t: shifted_right(a, b, t),
}


def wrapped(dtype, values):
    """Python integers modulo 2^bits, as a tensor."""
    bits = BITS[dtype]
    unsigned = np.array([int(v) % 2**bits for v in values], np.uint64)
    return Tensor(dtype, unsigned.astype(np.int64))


def pairs(dtype, edges):
    grid = np.array([(a, b) for a in edges for b in edges])
    return Tensor(dtype, grid[:, 0]), Tensor(dtype, grid[:, 1])


def unary_cases(cases):
    for dtype in FLOATS:
        x = Tensor(dtype, UNARY_EDGES)
        for op, function in FLOAT_UNARY.items():
            inputs = Tensor(dtype, [v for v in UNARY_EDGES if not abs(v) > 1e4]) if op in TRIGONOMETRIC else x
            cases.add(op, [inputs], Tensor(dtype, function(inputs.values)))
        cases.add("is_finite", [x], Tensor("bool", np.isfinite(x.values)))
        empty = Tensor(dtype, np.zeros((2, 0, 3)))
        cases.add("exp", [empty], empty)
    for dtype in INTEGERS:
        x = Tensor(dtype, INTEGER_EDGES[dtype])
        for op, function in {"neg": np.negative, "abs": np.abs, "sign": np.sign, "not": np.invert}.items():
            cases.add(op, [x], Tensor(dtype, function(x.values)))
    x = Tensor("bool", [[True], [False]])
    cases.add("not", [x], Tensor("bool", ~x.values))


def binary_cases(cases):
    for dtype in FLOATS:
        a, b = pairs(dtype, BINARY_EDGES)
        for op, function in FLOAT_BINARY.items():
            cases.add(op, [a, b], Tensor(dtype, function(a.values, b.values)))
        for op, function in COMPARE.items():
            cases.add(op, [a, b], Tensor("bool", function(a.values, b.values)))
    for dtype in INTEGERS:
        a, b = pairs(dtype, INTEGER_EDGES[dtype])
        for op, function in INTEGER_BINARY.items():
            results = [function(int(x), int(y), dtype) for x, y in zip(a.values, b.values)]
            cases.add(op, [a, b], wrapped(dtype, results))
    for dtype in ("u32", "i8"):
        a, b = pairs(dtype, INTEGER_EDGES[dtype])
        for op, function in COMPARE.items():
            cases.add(op, [a, b], Tensor("bool", function(a.values, b.values)))
    a, b = pairs("bool", [False, True])
    for op, function in {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor, **COMPARE}.items():
        cases.add(op, [a, b], Tensor("bool", function(a.values, b.values)))


CAST_FLOATS = [0.0, -0.0, 0.5, -0.5, 1.99, -1.99, 127.5, 128, -129, 255.9, 300, -1e-40, NAN, INF, -INF, 3e9, -3e9, 5e9]
CAST_INTEGERS = [0, 1, -1, 127, 128, 255, 256, 2049, 16777217, 2**31 - 1, -(2**31), 2**32 - 1]
RANGES = {"i32": (-(2**31), 2**31 - 1), "u32": (0, 2**32 - 1), "i8": (-128, 127), "u8": (0, 255)}


def cast_value(value, to):
    """One value as an integer type: saturating from floats, modulo 2^bits from integers."""
    if not isinstance(value, float):
        return int(value)
    low, high = RANGES[to]
    if math.isnan(value):
        return 0
    return high if value >= high else low if value <= low else math.trunc(value)


def cast_cases(cases):
    for source in (*FLOATS, *INTEGERS, "bool"):
        edges = CAST_FLOATS if source in FLOATS else [True, False] if source == "bool" else CAST_INTEGERS
        x = Tensor(source, edges)
        for target in (*FLOATS, *INTEGERS, "bool"):
            if target in INTEGERS:
                expected = wrapped(target, [cast_value(v, target) for v in x.values.tolist()])
            elif target == "bool":
                expected = Tensor("bool", x.values != 0)
            else:
                expected = Tensor(target, x.values.astype(np.float64))
            cases.add("cast", [x], expected, dtype=target)


def add_cases(cases):
    with np.errstate(all="ignore"):
        unary_cases(cases)
        binary_cases(cases)
        cast_cases(cases)
    condition = Tensor("bool", [[True, False, True], [False, True, False]])
    for dtype in (*FLOATS, *INTEGERS, "bool"):
        a, b = Tensor(dtype, [[1, 0, 1], [0, 0, 1]]), Tensor(dtype, [[0, 1, 0], [1, 1, 1]])
        cases.add("select", [condition, a, b], Tensor(dtype, np.where(condition.values, a.values, b.values)))
    a, b = Tensor("f32", [NAN, NAN]), Tensor("f32", [-0.0, INF])
    condition = Tensor("bool", [False, False])
    cases.add("select", [condition, a, b], b)
