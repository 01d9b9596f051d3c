"""Reference values of composites in double precision: PyTorch where it has them, else written from the papers."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from tensors import Tensor, sequence


def torched(function, *tensors):
    return function(*(torch.from_numpy(np.array(t.values, np.float64)) for t in tensors)).numpy()


def norm_cases(cases):
    for dtype, shape in (("f32", [3, 5]), ("f16", [2, 2, 8]), ("bf16", [4]), ("f32", [2, 1]), ("f32", [0, 3])):
        x, weight, bias = sequence(dtype, shape, seed=1), sequence("f32", shape[-1:], seed=2), sequence("f32", shape[-1:], seed=3)
        mean_square = np.mean(x.values**2, -1, keepdims=True)
        cases.add("rms_norm", [x, weight], Tensor(dtype, x.values / np.sqrt(mean_square + 1e-5) * weight.values), eps=1e-5)
        normal = torched(lambda x, w, b: F.layer_norm(x, shape[-1:], w, b, 1e-5), x, weight, bias)
        cases.add("layer_norm", [x, weight, bias], Tensor(dtype, normal), eps=1e-5)
        shifted = x.values / np.sqrt(mean_square + 1e-5) * (weight.values + 1)
        cases.add("rms_norm", [x, weight], Tensor(dtype, shifted), eps=1e-5, weightOffset=1)
    zero = Tensor("f32", [[0, 0]])
    cases.add("rms_norm", [zero, Tensor("f16", [1, 2])], zero, eps=1e-6)


def activation_cases(cases):
    for dtype in ("f32", "f16", "bf16"):
        x = Tensor(dtype, [0.0, -0.0, 1, -1, 0.1, -3.3, 5, -9, 12, -20, 30, -100, 100])
        cases.add("silu", [x], Tensor(dtype, torched(F.silu, x)))
        cases.add("gelu", [x], Tensor(dtype, torched(F.gelu, x)), tanh=False)
        cases.add("gelu", [x], Tensor(dtype, torched(lambda x: F.gelu(x, approximate="tanh"), x)), tanh=True)
        up = sequence(dtype, [13], seed=4)
        cases.add("swiglu", [x, up], Tensor(dtype, torched(F.silu, x) * up.values))
    for x in (sequence("f32", [3, 4, 5], seed=5), sequence("bf16", [2, 3], seed=6), Tensor("f32", [[1e30, -1e30, 1e30]]),
              Tensor("f32", [[1, -np.inf, 2]]), sequence("f16", [4, 1]), sequence("f32", [2, 0]), Tensor("f32", [[np.nan, 1]])):
        for axis in range(len(x.shape)):
            cases.add("softmax", [x], Tensor(x.dtype, torched(lambda x: torch.softmax(x, axis), x)), axis=axis)


def rotated(x, positions, frequencies, style):
    """Pairs as complex numbers, turned by multiplication with e^(i * angle); angles are f32, as models have them."""
    n = len(frequencies)
    angles = positions[:, None, None].astype(np.float32) * np.array(frequencies, np.float32)
    turn = np.exp(1j * angles.astype(np.float64))
    out = x.copy()
    first, second = (np.s_[..., :n], np.s_[..., n : 2 * n]) if style == "half" else (np.s_[..., 0 : 2 * n : 2], np.s_[..., 1 : 2 * n : 2])
    pairs = (x[first] + 1j * x[second]) * turn
    out[first], out[second] = pairs.real, pairs.imag
    return out


def rope_cases(cases):
    for style in ("half", "interleaved"):
        for shape, rotary_dim in (([3, 2, 8], 8), ([2, 1, 10], 4), ([1, 3, 2], 2), ([0, 2, 4], 4)):
            x = sequence("f32", shape, seed=7)
            positions = Tensor("i32", [0, 5, 1000][: shape[0]])
            frequencies = [float(np.float32(10000.0 ** (-2 * i / rotary_dim))) for i in range(rotary_dim // 2)]
            result = rotated(x.values, positions.values, frequencies, style)
            cases.add("rope", [x, positions], Tensor("f32", result), style=style, rotaryDim=rotary_dim, inverseFrequencies=frequencies)


def attended(q, k, v, start, scale, causal, soft_cap, window):
    """Attention by its definition, one query row and head at a time."""
    seq_len, n_heads, _ = q.shape
    out = np.zeros([seq_len, n_heads, v.shape[2]])
    for row in range(seq_len):
        last = start + (row if causal else seq_len - 1)
        first = 0 if window is None else max(0, start + row - window + 1)
        for head in range(n_heads):
            kv = head // (n_heads // k.shape[0])
            scores = k[kv, first : last + 1] @ q[row, head] * scale
            if soft_cap is not None:
                scores = soft_cap * np.tanh(scores / soft_cap)
            weights = np.exp(scores - scores.max())
            out[row, head] = weights / weights.sum() @ v[kv, first : last + 1]
    return out


def attention_cases(cases):
    for seq_len, heads, kv_heads, context, dtype, start, options in (
        (3, 4, 2, 7, "f32", 4, {}), (1, 2, 2, 5, "f16", 0, {}), (1, 6, 1, 9, "bf16", 8, {}), (4, 2, 1, 6, "f32", 1, {"causal": False}),
        (3, 2, 2, 8, "f32", 3, {"softCap": 1.5}), (4, 2, 1, 8, "f32", 4, {"window": 3}), (2, 2, 1, 4, "f16", 2, {"causal": False, "window": 2}),
        (0, 2, 1, 4, "f32", 0, {}),
    ):
        q = sequence("f32", [seq_len, heads, 4], seed=8)
        k, v = sequence(dtype, [kv_heads, context, 4], seed=9), sequence(dtype, [kv_heads, context, 3], seed=10)
        attrs = {"scale": 0.5, "causal": True, "softCap": None, "window": None, **options}
        result = attended(q.values, k.values, v.values, start, attrs["scale"], attrs["causal"], attrs["softCap"], attrs["window"])
        cases.add("attention", [q, k, v, Tensor("i32", [start])], Tensor("f32", result), **attrs)


def embedding_cases(cases):
    for dtype in ("f32", "f16", "bf16"):
        table, tokens = sequence(dtype, [5, 3], seed=11), Tensor("i32", [4, 0, 2, 4])
        rows = torched(lambda table: F.embedding(torch.from_numpy(tokens.values), table), table)
        cases.add("embedding", [table, tokens], Tensor("f32", rows))
    cases.add("embedding", [sequence("f32", [2, 2]), Tensor("u32", [])], Tensor("f32", np.zeros([0, 2])))


def llama3_frequencies(rotary_dim, theta, factor, low, high, original):
    """Frequencies of Llama 3.1 by wavelength: short ones kept, long ones divided, blended between."""
    result = []
    for i in range(rotary_dim // 2):
        frequency = theta ** (-2 * i / rotary_dim)
        wavelength = 2 * math.pi / frequency
        if wavelength < original / high:
            result.append(frequency)
        elif wavelength > original / low:
            result.append(frequency / factor)
        else:
            blend = (original / wavelength - low) / (high - low)
            result.append((1 - blend) * frequency / factor + blend * frequency)
    return result


def add_cases(cases):
    norm_cases(cases)
    activation_cases(cases)
    rope_cases(cases)
    attention_cases(cases)
    embedding_cases(cases)
