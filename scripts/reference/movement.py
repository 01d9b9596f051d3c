"""Reference values of leaves, views and indexing: NumPy's own functions."""

import numpy as np

from tensors import Tensor, sequence


def leaf_cases(cases):
    for dtype, shape in (("f16", [3]), ("i32", [2, 0]), ("u8", [])):
        x = sequence(dtype, shape)
        cases.add("constant", [], x, dtype=dtype, shape=shape, data=x.to_json()["data"])
        cases.add("input", [], x, index=0, name="x", dtype=dtype, shape=shape)
    for dtype, shape, axis in (("f32", [4, 3], 0), ("f32", [4, 3], 1), ("i8", [2, 130], 1), ("bf16", [300], 0), ("u32", [0, 2], 0)):
        steps = np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
        cases.add("iota", [], Tensor(dtype, np.broadcast_to(steps, shape)), dtype=dtype, shape=shape, axis=axis)
    for key, shape in (([0, 42], [5]), ([0, 42], [2, 3]), ([0xDEADBEEF, 7], [3, 1, 5]), ([1, 2], [0])):
        count = int(np.prod(shape))
        words = threefry(key, np.zeros(count, np.uint32), np.arange(count, dtype=np.uint32))
        cases.add("random_bits", [Tensor("u32", key)], Tensor("u32", (words[0] ^ words[1]).reshape(shape)), shape=shape)


def threefry(key, high, low):
    """Threefry-2x32-20 of Salmon et al. 2011 on arrays of counter words."""
    k = [np.uint32(key[0]), np.uint32(key[1])]
    k.append(k[0] ^ k[1] ^ np.uint32(0x1BD11BDA))
    x, y = high + k[0], low + k[1]
    schedule = [[13, 15, 26, 6], [17, 29, 16, 24]] * 3
    for group in range(5):
        for r in schedule[group]:
            x = x + y
            y = (y << np.uint32(r) | y >> np.uint32(32 - r)) ^ x
        x = x + k[(group + 1) % 3]
        y = y + k[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


def view(cases, op, x, values, **attrs):
    cases.add(op, [x], Tensor(x.dtype, values), **attrs)


def view_cases(cases):
    for dtype in ("f32", "f16", "i8", "bool"):
        x = sequence(dtype, [3, 1, 4], seed=1)
        view(cases, "broadcast", x, np.broadcast_to(x.values[:, None], [3, 2, 5, 4]), shape=[3, 2, 5, 4], axes=[0, 2, 3])
        view(cases, "reshape", x, x.values.reshape(2, 6), shape=[2, 6])
        view(cases, "transpose", x, x.values.transpose(2, 0, 1), perm=[2, 0, 1])
        view(cases, "slice", x, x.values[1:3, :, 0:4:3], starts=[1, 0, 0], limits=[3, 1, 4], strides=[1, 1, 3])
        view(cases, "reverse", x, x.values[::-1, :, ::-1], axes=[2, 0])
        parts = [sequence(dtype, [2, n, 2], seed=n) for n in (3, 0, 1)]
        joined = np.concatenate([p.values for p in parts], axis=1)
        cases.add("concat", parts, Tensor(dtype, joined), axis=1)
        fill = Tensor(dtype, 1)
        padded = np.full([5, 2, 11], fill.values)
        padded[1:4, 0:1, 2:9:2] = x.values
        cases.add("pad", [x, fill], Tensor(dtype, padded), low=[1, 0, 2], high=[1, 1, 2], interior=[0, 5, 1])
    scalar, empty = sequence("f32", []), sequence("f32", [2, 0])
    view(cases, "broadcast", scalar, np.broadcast_to(scalar.values, [2, 3]), shape=[2, 3], axes=[])
    view(cases, "broadcast", sequence("f32", [1]), np.zeros([0]), shape=[0], axes=[0])
    view(cases, "broadcast", sequence("u32", [2]), np.broadcast_to(sequence("u32", [2]).values[:, None], [2, 3]), shape=[2, 3], axes=[0])
    view(cases, "transpose", empty, empty.values.T, perm=[1, 0])
    view(cases, "transpose", scalar, scalar.values, perm=[])
    view(cases, "slice", empty, empty.values[1:], starts=[1, 0], limits=[2, 0], strides=[1, 1])
    view(cases, "slice", sequence("f32", [5]), [], starts=[3], limits=[3], strides=[2])
    view(cases, "reverse", empty, empty.values, axes=[1])
    view(cases, "reshape", empty, empty.values.reshape(0, 7), shape=[0, 7])
    view(cases, "reshape", sequence("i32", [1, 1]), sequence("i32", [1, 1]).values.reshape([]), shape=[])
    cases.add("pad", [empty, scalar], Tensor("f32", np.full([2, 3], scalar.values)), low=[0, 1], high=[0, 2], interior=[0, 4])
    cases.add("concat", [sequence("bf16", [3])], sequence("bf16", [3]), axis=0)


def bitcast_cases(cases):
    x = Tensor("f32", [[1.5, -0.0], [np.inf, 1e-45]])
    for dtype, numpy_type in (("i32", np.int32), ("u32", np.uint32)):
        cases.add("bitcast", [x], Tensor(dtype, x.storage.view(numpy_type)), dtype=dtype, shape=None)
    cases.add("bitcast", [x], Tensor("u8", x.storage.view(np.uint8).reshape(2, 2, 4)), dtype="u8", shape=None)
    cases.add("bitcast", [x], Tensor("f16", x.storage.view(np.float16).reshape(2, 2, 2)), dtype="f16", shape=None)
    words = sequence("i32", [3])
    cases.add("bitcast", [words], Tensor("u32", words.values), dtype="u32", shape=None)
    rows = Tensor("u8", [[0, 0x3C], [1, 0x80], [0xFF, 0x7B]])
    cases.add("bitcast", [rows], Tensor("f16", rows.storage.view(np.float16)[:, 0]), dtype="f16", shape=None)
    bits = Tensor("bf16", [1.0, -3.5])
    cases.add("bitcast", [bits], Tensor("i8", bits.storage.view(np.int8).reshape(2, 2)), dtype="i8", shape=None)


def gather_cases(cases):
    indices = Tensor("i32", [[2, -1], [0, 9], [1, 1]])
    for dtype in ("f32", "bf16", "u8"):
        x = sequence(dtype, [3, 4, 2], seed=2)
        for axis in (0, 1, 2):
            cases.add("gather", [x, indices], Tensor(dtype, np.take(x.values, indices.values, axis, mode="clip")), axis=axis)
    x = sequence("f32", [3])
    cases.add("gather", [x, Tensor("u32", 1)], Tensor("f32", x.values[1]), axis=0)
    cases.add("gather", [x, Tensor("i32", [])], Tensor("f32", []), axis=0)
    x = sequence("i32", [2, 3, 2], seed=3)
    along = Tensor("i32", [[[2, 0], [7, -3]], [[1, 1], [0, 2]]])
    taken = np.take_along_axis(x.values, np.clip(along.values, 0, 2), 1)
    cases.add("gather_along", [x, along], Tensor("i32", taken), axis=1)
    cases.add("gather_along", [sequence("f16", [1, 1]), Tensor("i32", [[0]])], sequence("f16", [1, 1]), axis=0)


SCATTER = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def scatter_cases(cases):
    indices = Tensor("i32", [1, 3, 1, -1, 0])
    inside = [i for i, at in enumerate(indices.values) if 0 <= at < 3]
    for dtype in ("f32", "i32", "u8"):
        for axis in (0, 1):
            x = sequence(dtype, [3, 2] if axis == 0 else [2, 3], seed=4)
            updates = sequence(dtype, [5, 2] if axis == 0 else [2, 5], seed=5)
            chosen = np.take(updates.values, inside, axis)
            place = indices.values[inside] if axis == 0 else (slice(None), indices.values[inside])
            for mode, function in SCATTER.items():
                result = x.values.copy()
                function.at(result, place, chosen)
                cases.add("scatter", [x, indices, updates], Tensor(dtype, result), axis=axis, mode=mode)
            result = x.values.copy()
            result[place] = chosen
            cases.add("scatter", [x, indices, updates], Tensor(dtype, result), axis=axis, mode="set")
    x = sequence("bool", [3])
    cases.add("scatter", [x, Tensor("i32", []), Tensor("bool", [])], x, axis=0, mode="set")


def dynamic_cases(cases):
    x = sequence("f32", [4, 5], seed=6)
    update = sequence("f32", [2, 3], seed=7)
    for start in ((1, 1), (-2, 9), (3, 2), (0, 0)):
        row, column = np.clip(start, 0, (2, 2))
        starts = [Tensor("i32", n) for n in start]
        part = x.values[row : row + 2, column : column + 3]
        cases.add("dynamic_slice", [x, *starts], Tensor("f32", part), sizes=[2, 3])
        result = x.values.copy()
        result[row : row + 2, column : column + 3] = update.values
        cases.add("dynamic_update_slice", [x, update, *starts], Tensor("f32", result))
    scalar = sequence("f16", [])
    cases.add("dynamic_slice", [scalar], scalar, sizes=[])
    cases.add("dynamic_update_slice", [sequence("i8", [2, 0]), sequence("i8", [1, 0]), Tensor("i32", 1), Tensor("i32", 0)], sequence("i8", [2, 0]))


def add_cases(cases):
    leaf_cases(cases)
    view_cases(cases)
    bitcast_cases(cases)
    gather_cases(cases)
    scatter_cases(cases)
    dynamic_cases(cases)
