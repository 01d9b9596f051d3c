"""Reference values of reductions, orderings (NumPy) and contractions (NumPy, PyTorch), in double precision."""

import numpy as np
import torch
import torch.nn.functional as F

from tensors import FLOATS, Tensor, sequence

LEAST = {"f32": -np.inf, "f16": -np.inf, "bf16": -np.inf, "i32": -(2**31), "u32": 0, "i8": -128, "u8": 0}
GREATEST = {"f32": np.inf, "f16": np.inf, "bf16": np.inf, "i32": 2**31 - 1, "u32": 2**32 - 1, "i8": 127, "u8": 255}


def reduce_cases(cases):
    for dtype in ("f32", "f16", "bf16", "i32", "u32", "i8", "u8"):
        for shape, axes in (([3, 4, 5], [1]), ([3, 4, 5], [0, 2]), ([2, 0, 3], [1]), ([0, 3], [1]), ([7], [0]), ([2, 1], [1])):
            x, over = sequence(dtype, shape, seed=11), tuple(axes)
            cases.add("reduce_sum", [x], Tensor(dtype, x.values.sum(over)), axes=axes)
            cases.add("reduce_prod", [x], Tensor(dtype, x.values.prod(over)), axes=axes)
            greatest = np.max(x.values, over, initial=LEAST[dtype])
            least = np.min(x.values, over, initial=GREATEST[dtype])
            cases.add("reduce_max", [x], Tensor(dtype, greatest), axes=axes)
            cases.add("reduce_min", [x], Tensor(dtype, least), axes=axes)
    odd = Tensor("f32", [[1, np.nan, 2], [np.inf, -np.inf, 0], [-0.0, 1e-45, 3e38]])
    with np.errstate(all="ignore"):
        for op, function in {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min}.items():
            cases.add(f"reduce_{op}", [odd], Tensor("f32", function(odd.values, 1)), axes=[1])
            cases.add(f"reduce_{op}", [odd], Tensor("f32", function(odd.values)), axes=[1, 0])
    for dtype in ("bool", "i32", "u8"):
        for shape, axes in (([3, 4], [1]), ([2, 0], [1]), ([2, 3], [])):
            x = sequence(dtype, shape, seed=12)
            over = tuple(axes)
            both = np.bitwise_and.reduce(x.values, over) if axes else x.values
            either = np.bitwise_or.reduce(x.values, over) if axes else x.values
            cases.add("reduce_and", [x], Tensor(dtype, both), axes=axes)
            cases.add("reduce_or", [x], Tensor(dtype, either), axes=axes)


def lane_cases(cases):
    for dtype in ("f32", "bf16", "i32", "u8"):
        x = sequence(dtype, [3, 6, 2], seed=13)
        for axis in (0, 1, 2):
            cases.add("argmax", [x], Tensor("i32", x.values.argmax(axis)), axis=axis)
            cases.add("argmin", [x], Tensor("i32", x.values.argmin(axis)), axis=axis)
        running = {"cumsum": np.cumsum, "cumprod": np.cumprod, "cummax": np.maximum.accumulate, "cummin": np.minimum.accumulate}
        for op, function in running.items():
            cases.add(op, [x], Tensor(dtype, function(x.values, 1)), axis=1, reverse=False)
            turned = np.flip(function(np.flip(x.values, 1), 1), 1)
            cases.add(op, [x], Tensor(dtype, turned), axis=1, reverse=True)
    odd = Tensor("f32", [3, 1, np.nan, 7, -np.inf, np.nan, 7, 1])
    ties = Tensor("i8", [[5, 5, 1, 1]])
    for op, function in {"argmax": np.argmax, "argmin": np.argmin}.items():
        cases.add(op, [odd], Tensor("i32", function(odd.values)), axis=0)
        cases.add(op, [ties], Tensor("i32", function(ties.values, 1)), axis=1)
    for op, function in {"cummax": np.maximum.accumulate, "cummin": np.minimum.accumulate, "cumsum": np.cumsum}.items():
        cases.add(op, [odd], Tensor("f32", function(odd.values)), axis=0, reverse=False)
        cases.add(op, [sequence("f32", [2, 0])], sequence("f32", [2, 0]), axis=1, reverse=True)


def sorted_places(lane, descending):
    """Stable order of a lane with NaN last."""
    numbers = np.flatnonzero(~np.isnan(lane.astype(np.float64)))
    lost = np.flatnonzero(np.isnan(lane.astype(np.float64)))
    keys = -lane[numbers].astype(np.float64) if descending else lane[numbers].astype(np.float64)
    return np.concatenate([numbers[np.argsort(keys, kind="stable")], lost]).astype(np.int64)


def sort_cases(cases):
    odd = Tensor("f32", [[3, np.nan, -0.0, 0.0, np.inf, 3, -np.inf, np.nan, 1e-45]])
    tensors = [odd, sequence("f16", [4, 5, 2], seed=14), sequence("i8", [2, 9], seed=15), sequence("u32", [1, 1]),
               sequence("bool", [1, 7], seed=16), sequence("f32", [3, 0])]
    for x in tensors:
        for descending in (False, True):
            places = np.apply_along_axis(sorted_places, 1, x.values, descending) if x.values.size else x.values
            order = Tensor("i32", places)
            cases.add("argsort", [x], order, axis=1, descending=descending)
            ordered = np.take_along_axis(x.values, order.values, 1) if x.values.size else x.values
            cases.add("sort", [x], Tensor(x.dtype, ordered), axis=1, descending=descending)


def dot_cases(cases):
    products = [
        # equation, shapes, (lhsContract, rhsContract, lhsBatch, rhsBatch)
        ("mk,nk->mn", [[5, 7], [6, 7]], ([1], [1], [], [])),
        ("km,kn->mn", [[7, 3], [7, 9]], ([0], [0], [], [])),
        ("bmk,bkn->bmn", [[2, 3, 5], [2, 5, 4]], ([2], [1], [0], [0])),
        ("mbk,bnk->bmn", [[3, 2, 4], [2, 5, 4]], ([2], [2], [1], [0])),
        ("ijk,jkl->il", [[2, 3, 4], [3, 4, 5]], ([1, 2], [0, 1], [], [])),
        ("k,k->", [[11], [11]], ([0], [0], [], [])),
        ("i,j->ij", [[2], [3]], ([], [], [], [])),
        ("mk,nk->mn", [[2, 0], [3, 0]], ([1], [1], [], [])),
        ("mk,nk->mn", [[0, 2], [3, 2]], ([1], [1], [], [])),
        ("b,b->b", [[3], [3]], ([], [], [0], [0])),
    ]
    for dtype in ("f32", "f16", "bf16", "i8", "u8", "i32", "u32"):
        for equation, shapes, axes in products:
            lhs, rhs = (sequence(dtype, shape, seed=20 + i) for i, shape in enumerate(shapes))
            result = Tensor("f32" if dtype in FLOATS else "u32" if dtype == "u32" else "i32", np.einsum(equation, lhs.values, rhs.values))
            names = ("lhsContract", "rhsContract", "lhsBatch", "rhsBatch")
            cases.add("dot_general", [lhs, rhs], result, **dict(zip(names, axes)))
    lhs, rhs = sequence("f16", [3, 4], seed=30), sequence("f16", [2, 4], seed=31)
    axes = {"lhsContract": [1], "rhsContract": [1], "lhsBatch": [], "rhsBatch": []}
    product = lhs.values @ rhs.values.T
    cases.add("dot_general", [lhs, rhs], Tensor("f16", product), **axes, resultDtype="f16")
    odd = Tensor("f32", [[np.inf, 1], [np.nan, 1], [0, 1e-45]])
    with np.errstate(all="ignore"):
        one = Tensor("f32", [[0.0, 1.0]])
        cases.add("dot_general", [odd, one], Tensor("f32", odd.values @ one.values.T), **axes)


def conv_cases(cases):
    shapes = [
        # x, w, strides, low, high, lhsDilation, rhsDilation, groups
        ([2, 3, 7], [4, 3, 3], [1], [0], [0], [1], [1], 1),
        ([1, 4, 8], [6, 2, 3], [2], [1], [2], [1], [2], 2),
        ([1, 2, 5, 6], [3, 2, 3, 2], [1, 2], [1, 0], [1, 1], [1, 1], [1, 1], 1),
        ([1, 2, 3, 4], [2, 2, 2, 3], [1, 1], [1, 2], [1, 2], [2, 3], [1, 1], 1),
        ([1, 3, 5, 5], [3, 1, 3, 3], [1, 1], [1, 1], [1, 1], [1, 1], [1, 1], 3),
        ([1, 1, 3, 4, 3], [2, 1, 2, 2, 2], [1, 1, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1], [1, 1, 1], 1),
        ([3, 4], [5, 4], [], [], [], [], [], 1),
        ([0, 2, 4], [2, 2, 2], [1], [0], [0], [1], [1], 1),
    ]
    for dtype in ("f32", "bf16", "i8"):
        for x_shape, w_shape, strides, low, high, spread, dilation, groups in shapes:
            x, w = sequence(dtype, x_shape, seed=40), sequence(dtype, w_shape, seed=41)
            result = convolution(x.values, w.values, strides, low, high, spread, dilation, groups)
            cases.add(
                "conv", [x, w], Tensor("f32" if dtype in FLOATS else "i32", result), strides=strides, padLow=low,
                padHigh=high, lhsDilation=spread, rhsDilation=dilation, groups=groups,
            )


def convolution(x, w, strides, low, high, spread, dilation, groups):
    """PyTorch's convolution of doubles, after spreading and padding x by hand."""
    space = x.shape[2:]
    if not space:
        return x @ w.T
    sizes = [a + b + (d - 1) * s + 1 for d, s, a, b in zip(space, spread, low, high)]
    wide = np.zeros([*x.shape[:2], *sizes])
    place = tuple(slice(a, a + (d - 1) * s + 1, s) for d, s, a in zip(space, spread, low))
    wide[(slice(None), slice(None), *place)] = x
    function = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[len(space)]
    weights = torch.from_numpy(w.astype(np.float64))
    if x.shape[0] == 0:
        sample = function(torch.zeros([1, *wide.shape[1:]], dtype=torch.float64), weights)
        return np.zeros([0, *sample.shape[1:]])
    return function(torch.from_numpy(wide), weights, None, strides, 0, dilation, groups).numpy()


def add_reduction_cases(cases):
    reduce_cases(cases)
    lane_cases(cases)
    sort_cases(cases)


def add_contraction_cases(cases):
    dot_cases(cases)
    conv_cases(cases)
