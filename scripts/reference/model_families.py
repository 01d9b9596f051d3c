"""Writes src/model/testing/logits.json: what each family gives for its small checkpoints in src/model/testing/cases.json.

A second opinion on src/model: every forward pass is written from the family's paper and configuration alone, over the whole
sequence at once, in double precision, without caches. Run: /usr/bin/python3 scripts/reference/model_families.py
"""

import base64
import json
import math
import os

import numpy as np
import torch
import torch.nn.functional as F

FOLDER = os.path.join(os.path.dirname(__file__), "..", "..", "src", "model", "testing")
TOKENS = [3, 17, 42, 8, 61, 0, 29, 55, 12, 12, 40, 5, 33, 21, 63, 7, 50, 18, 2, 46, 37, 11, 25, 59]
ROWS = [0, 1, 6, 7, 8, 15, 22, 23]


class Checkpoint:
    """Tensors by their names in the file: a hash of the name and the place gives each value."""

    def __init__(self, config):
        self.config = config
        self.is_gemma = config["architectures"][0].startswith("Gemma")

    def __call__(self, name, *shape):
        seed = 0x811C9DC5
        for letter in name:
            seed = ((seed ^ ord(letter)) * 0x01000193) & 0xFFFFFFFF
        x = np.uint32(seed) + np.arange(math.prod(shape), dtype=np.uint32) * np.uint32(0x9E3779B9)
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
        noise = ((x ^ (x >> np.uint32(16))) >> np.uint32(8)).astype(np.float64) / 2**23 - 1
        stem = name.rsplit(".", 2)[-2]
        if name.endswith(".weight") and (stem.endswith("norm") or stem.startswith("ln_")):
            values = (0 if self.is_gemma else 1) + 0.25 * noise
        else:
            values = noise * (1 if name.endswith(("embed_tokens.weight", "wte.weight", "wpe.weight")) else 0.25)
        return torch.from_numpy(values.astype(np.float32).astype(np.float64)).reshape(*shape)


def root_mean_square(x, weight, eps):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * weight


def gelu_tanh(x):
    return F.gelu(x, approximate="tanh")


# Rotary positions


def plain_frequencies(dim, base):
    return 1.0 / base ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)


def llama3_frequencies(dim, base, scaling):
    result = []
    original = scaling["original_max_position_embeddings"]
    for frequency in plain_frequencies(dim, base).tolist():
        wavelength = 2 * math.pi / frequency
        if wavelength > original / scaling["low_freq_factor"]:
            frequency /= scaling["factor"]
        elif wavelength >= original / scaling["high_freq_factor"]:
            smooth = (original / wavelength - scaling["low_freq_factor"]) / (scaling["high_freq_factor"] - scaling["low_freq_factor"])
            frequency = (1 - smooth) * frequency / scaling["factor"] + smooth * frequency
        result.append(frequency)
    return torch.tensor(result, dtype=torch.float64)


def yarn_frequencies(dim, base, scaling):
    """Interpolation by parts, with the paper's r(d) = L / wavelength as the criterion through its inverse."""
    original, factor = scaling["original_max_position_embeddings"], scaling["factor"]

    def dimension_of(rotations):
        return dim * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(base))

    low, high = dimension_of(scaling.get("beta_fast", 32)), dimension_of(scaling.get("beta_slow", 1))
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    ramp = torch.clamp((torch.arange(dim // 2, dtype=torch.float64) - low) / ((high - low) or 0.001), 0, 1)
    kept = plain_frequencies(dim, base)
    return kept / factor * ramp + kept * (1 - ramp)


def yarn_temperature(scaling):
    def temperature(strength):
        return 0.1 * strength * math.log(scaling["factor"]) + 1.0 if scaling["factor"] > 1 else 1.0

    if "mscale" in scaling:
        return temperature(scaling["mscale"]) / temperature(scaling["mscale_all_dim"])
    return temperature(1.0)


class Rope:
    """Cosines and sines of a whole sequence, [seqLen, 1, rotary_dim]; Hugging Face's layout of two halves."""

    def __init__(self, config, head_dim, base=None, scaling=None):
        dim = int(head_dim * config.get("partial_rotary_factor", 1))
        base = base or config.get("rope_theta", 10000)
        scaling = scaling or {}
        kind = scaling.get("rope_type", scaling.get("type", "default"))
        gain = 1.0
        if kind in ("default", "dynamic"):  # these sequences stay within the trained context
            frequencies = plain_frequencies(dim, base)
        elif kind == "linear":
            frequencies = plain_frequencies(dim, base) / scaling["factor"]
        elif kind == "llama3":
            frequencies = llama3_frequencies(dim, base, scaling)
        elif kind == "yarn":
            frequencies, gain = yarn_frequencies(dim, base, scaling), yarn_temperature(scaling)
        elif kind == "longrope":
            original = config["original_max_position_embeddings"]
            factors = scaling["long_factor" if len(TOKENS) > original else "short_factor"]
            frequencies = plain_frequencies(dim, base) / torch.tensor(factors, dtype=torch.float64)
            gain = math.sqrt(1 + math.log(config["max_position_embeddings"] / original) / math.log(original))
        angles = torch.outer(torch.arange(len(TOKENS), dtype=torch.float64), frequencies)
        angles = torch.cat([angles, angles], -1)[:, None, :]
        self.cosines, self.sines, self.dim = angles.cos() * gain, angles.sin() * gain, dim

    def __call__(self, heads):
        turning, still = heads[..., : self.dim], heads[..., self.dim :]
        first, second = turning.chunk(2, -1)
        turned = turning * self.cosines + torch.cat([-second, first], -1) * self.sines
        return torch.cat([turned, still], -1)


# Attention and feed-forward


def attend(q, k, v, scale=None, window=None, soft_cap=None):
    """q [seqLen, nHeads, headDim], k and v [seqLen, nKvHeads, headDim] -> [seqLen, nHeads * headDim]."""
    length, heads, head_dim = q.shape
    k, v = (t.repeat_interleave(heads // t.shape[1], dim=1) for t in (k, v))
    scores = torch.einsum("qhd,khd->hqk", q, k) * (scale if scale is not None else head_dim**-0.5)
    if soft_cap is not None:
        scores = torch.tanh(scores / soft_cap) * soft_cap
    rows, columns = torch.arange(length)[:, None], torch.arange(length)[None, :]
    hidden = columns > rows
    if window is not None:
        hidden = hidden | (columns <= rows - window)
    scores = scores.masked_fill(hidden, -math.inf)
    return torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).reshape(length, -1)


def head_size(config):
    return config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])


def matrix(get, name, n_out, x, bias=False):
    product = x @ get(f"{name}.weight", n_out, x.shape[-1]).T
    return product + get(f"{name}.bias", n_out) if bias else product


def queries_keys_values(get, at, x, bias=False):
    config, size = get.config, head_size(get.config)
    counts = {"q": config["num_attention_heads"], "k": config["num_key_value_heads"], "v": config["num_key_value_heads"]}
    return [matrix(get, f"{at}.{name}_proj", n * size, x, bias) for name, n in counts.items()]


def in_heads(config, *tensors):
    return [t.reshape(t.shape[0], -1, head_size(config)) for t in tensors]


def gated(get, at, x, size, activation=F.silu, bias=False):
    inner = activation(matrix(get, f"{at}.gate_proj", size, x, bias)) * matrix(get, f"{at}.up_proj", size, x, bias)
    return matrix(get, f"{at}.down_proj", x.shape[-1], inner, bias)


def expert_sum(x, router_logits, n_chosen, normalized, expert):
    """Token by token, expert by expert."""
    shares = router_logits.softmax(-1)
    result = torch.zeros_like(x)
    for token in range(x.shape[0]):
        chosen = sorted(range(shares.shape[1]), key=lambda e: -shares[token, e].item())[:n_chosen]
        total = sum(shares[token, e] for e in chosen) if normalized else 1
        for e in chosen:
            result[token] += shares[token, e] / total * expert(e, x[token : token + 1])[0]
    return result


def logits_of(get, x, eps, scale=1.0):
    config = get.config
    tied = config.get("tie_word_embeddings", get.is_gemma)
    norm = get("model.norm.weight", x.shape[-1]) + (1 if get.is_gemma else 0)
    table = get("model.embed_tokens.weight" if tied else "lm_head.weight", config["vocab_size"], x.shape[-1])
    return root_mean_square(x, norm, eps) @ table.T


def embedded(get):
    config = get.config
    return get("model.embed_tokens.weight", config["vocab_size"], config["hidden_size"])[TOKENS]


# Families


def pre_norm_model(get, attention, feed_forward):
    """Llama's arrangement: x + attention(norm(x)), then x + feed_forward(norm(x))."""
    config = get.config
    dim, eps = config["hidden_size"], config["rms_norm_eps"]
    x = embedded(get)
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}"
        x = x + attention(i, f"{at}.self_attn", root_mean_square(x, get(f"{at}.input_layernorm.weight", dim), eps))
        x = x + feed_forward(i, at, root_mean_square(x, get(f"{at}.post_attention_layernorm.weight", dim), eps))
    return logits_of(get, x, eps)


def llama(get):
    config = get.config
    rope = Rope(config, head_size(config), scaling=config.get("rope_scaling"))
    bias = config.get("attention_bias", False)

    def attention(i, at, x):
        q, k, v = in_heads(config, *queries_keys_values(get, at, x, bias))
        return matrix(get, f"{at}.o_proj", x.shape[-1], attend(rope(q), rope(k), v, window=config.get("sliding_window")), bias)

    def feed_forward(i, at, x):
        return gated(get, f"{at}.mlp", x, config["intermediate_size"], bias=config.get("mlp_bias", False))

    return pre_norm_model(get, attention, feed_forward)


def smollm3(get):
    config = get.config
    rope = Rope(config, head_size(config))
    n = config["num_hidden_layers"]
    interval = config.get("no_rope_layer_interval", 4)
    uses_rope = config.get("no_rope_layers") or [int((i + 1) % interval != 0) for i in range(n)]

    def attention(i, at, x):
        q, k, v = in_heads(config, *queries_keys_values(get, at, x))
        window = config["sliding_window"] if config.get("use_sliding_window") and not uses_rope[i] else None
        if uses_rope[i]:
            q, k = rope(q), rope(k)
        return matrix(get, f"{at}.o_proj", x.shape[-1], attend(q, k, v, window=window))

    return pre_norm_model(get, attention, lambda i, at, x: gated(get, f"{at}.mlp", x, config["intermediate_size"]))


def qwen_window(config, i):
    is_sliding = config.get("use_sliding_window", False) and i >= config["max_window_layers"]
    return config["sliding_window"] if is_sliding else None


def qwen2_attention(get):
    config = get.config
    rope = Rope(config, head_size(config), scaling=config.get("rope_scaling"))

    def attention(i, at, x):
        q, k, v = in_heads(config, *queries_keys_values(get, at, x, bias=True))
        return matrix(get, f"{at}.o_proj", x.shape[-1], attend(rope(q), rope(k), v, window=qwen_window(config, i)))

    return attention


def qwen3_attention(get):
    config = get.config
    size, eps = head_size(config), config["rms_norm_eps"]
    rope = Rope(config, size, scaling=config.get("rope_scaling"))

    def attention(i, at, x):
        q, k, v = in_heads(config, *queries_keys_values(get, at, x))
        q = rope(root_mean_square(q, get(f"{at}.q_norm.weight", size), eps))
        k = rope(root_mean_square(k, get(f"{at}.k_norm.weight", size), eps))
        return matrix(get, f"{at}.o_proj", x.shape[-1], attend(q, k, v, window=qwen_window(config, i)))

    return attention


def qwen_dense(get):
    return lambda i, at, x: gated(get, f"{at}.mlp", x, get.config["intermediate_size"])


def qwen_experts(get):
    config = get.config

    def feed_forward(i, at, x):
        if i in config.get("mlp_only_layers", []) or (i + 1) % config.get("decoder_sparse_step", 1) != 0:
            return qwen_dense(get)(i, at, x)
        routed = expert_sum(
            x,
            matrix(get, f"{at}.mlp.gate", config["num_experts"], x),
            config["num_experts_per_tok"],
            config["norm_topk_prob"],
            lambda e, rows: gated(get, f"{at}.mlp.experts.{e}", rows, config["moe_intermediate_size"]),
        )
        if "shared_expert_intermediate_size" not in config:
            return routed
        shared = gated(get, f"{at}.mlp.shared_expert", x, config["shared_expert_intermediate_size"])
        return routed + torch.sigmoid(matrix(get, f"{at}.mlp.shared_expert_gate", 1, x)) * shared

    return feed_forward


def mixtral(get):
    config = get.config
    rope = Rope(config, head_size(config))
    size = config["intermediate_size"]

    def attention(i, at, x):
        q, k, v = in_heads(config, *queries_keys_values(get, at, x))
        return matrix(get, f"{at}.o_proj", x.shape[-1], attend(rope(q), rope(k), v, window=config["sliding_window"]))

    def feed_forward(i, at, x):
        moe = f"{at}.block_sparse_moe"

        def expert(e, rows):
            inner = F.silu(matrix(get, f"{moe}.experts.{e}.w1", size, rows)) * matrix(get, f"{moe}.experts.{e}.w3", size, rows)
            return matrix(get, f"{moe}.experts.{e}.w2", rows.shape[-1], inner)

        router_logits = matrix(get, f"{moe}.gate", config["num_local_experts"], x)
        return expert_sum(x, router_logits, config["num_experts_per_tok"], True, expert)

    return pre_norm_model(get, attention, feed_forward)


def phi3(get):
    config = get.config
    size, n_q, n_kv = head_size(config), config["num_attention_heads"], config["num_key_value_heads"]
    rope = Rope(config, size, scaling=config.get("rope_scaling"))

    def attention(i, at, x):
        together = matrix(get, f"{at}.qkv_proj", (n_q + 2 * n_kv) * size, x)
        q, k, v = in_heads(config, *together.split([n_q * size, n_kv * size, n_kv * size], -1))
        return matrix(get, f"{at}.o_proj", x.shape[-1], attend(rope(q), rope(k), v, window=config.get("sliding_window")))

    def feed_forward(i, at, x):
        together = matrix(get, f"{at}.mlp.gate_up_proj", 2 * config["intermediate_size"], x)
        gate, up = together.chunk(2, -1)
        return matrix(get, f"{at}.mlp.down_proj", x.shape[-1], up * F.silu(gate))

    return pre_norm_model(get, attention, feed_forward)


def olmo2(get):
    config = get.config
    dim, eps, size = config["hidden_size"], config["rms_norm_eps"], head_size(config)
    rope = Rope(config, size)
    x = embedded(get)
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}"
        q, k, v = queries_keys_values(get, f"{at}.self_attn", x)
        q = root_mean_square(q, get(f"{at}.self_attn.q_norm.weight", q.shape[-1]), eps)
        k = root_mean_square(k, get(f"{at}.self_attn.k_norm.weight", k.shape[-1]), eps)
        q, k, v = in_heads(config, q, k, v)
        mixed = matrix(get, f"{at}.self_attn.o_proj", dim, attend(rope(q), rope(k), v))
        x = x + root_mean_square(mixed, get(f"{at}.post_attention_layernorm.weight", dim), eps)
        fed = gated(get, f"{at}.mlp", x, config["intermediate_size"])
        x = x + root_mean_square(fed, get(f"{at}.post_feedforward_layernorm.weight", dim), eps)
    return logits_of(get, x, eps)


def gemma_norm(get, name, x):
    return root_mean_square(x, 1 + get(f"{name}.weight", x.shape[-1]), get.config["rms_norm_eps"])


def gemma(get):
    config = get.config
    rope = Rope(config, head_size(config))
    x = embedded(get) * config["hidden_size"] ** 0.5
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}"
        y = gemma_norm(get, f"{at}.input_layernorm", x)
        q, k, v = in_heads(config, *queries_keys_values(get, f"{at}.self_attn", y))
        x = x + matrix(get, f"{at}.self_attn.o_proj", x.shape[-1], attend(rope(q), rope(k), v))
        y = gemma_norm(get, f"{at}.post_attention_layernorm", x)
        x = x + gated(get, f"{at}.mlp", y, config["intermediate_size"], gelu_tanh)
    return logits_of(get, x, config["rms_norm_eps"])


def gemma_sandwich(get, attention):
    """Gemma 2 and 3: norms before and behind both parts."""
    config = get.config
    x = embedded(get) * config["hidden_size"] ** 0.5
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}"
        mixed = attention(i, f"{at}.self_attn", gemma_norm(get, f"{at}.input_layernorm", x))
        x = x + gemma_norm(get, f"{at}.post_attention_layernorm", mixed)
        fed = gated(get, f"{at}.mlp", gemma_norm(get, f"{at}.pre_feedforward_layernorm", x), config["intermediate_size"], gelu_tanh)
        x = x + gemma_norm(get, f"{at}.post_feedforward_layernorm", fed)
    return logits_of(get, x, config["rms_norm_eps"])


def gemma2(get):
    config = get.config
    rope = Rope(config, head_size(config))

    def attention(i, at, x):
        q, k, v = in_heads(config, *queries_keys_values(get, at, x))
        mixed = attend(
            rope(q), rope(k), v,
            scale=1 / math.sqrt(config["query_pre_attn_scalar"]),
            window=config["sliding_window"] if i % 2 == 0 else None,
            soft_cap=config["attn_logit_softcapping"],
        )  # fmt: skip
        return matrix(get, f"{at}.o_proj", x.shape[-1], mixed)

    cap = config["final_logit_softcapping"]
    return cap * torch.tanh(gemma_sandwich(get, attention) / cap)


def gemma3(get):
    config = get.config
    size, n = head_size(config), config["num_hidden_layers"]
    every = config.get("sliding_window_pattern", 6)
    usual = ["full_attention" if (i + 1) % every == 0 else "sliding_attention" for i in range(n)]
    types = config.get("layer_types", usual)
    ropes = {
        "full_attention": Rope(config, size, scaling=config.get("rope_scaling")),
        "sliding_attention": Rope(config, size, base=config["rope_local_base_freq"]),
    }

    def attention(i, at, x):
        rope, window = ropes[types[i]], config["sliding_window"] if types[i] == "sliding_attention" else None
        q, k, v = in_heads(config, *queries_keys_values(get, at, x))
        q, k = rope(gemma_norm(get, f"{at}.q_norm", q)), rope(gemma_norm(get, f"{at}.k_norm", k))
        mixed = attend(q, k, v, scale=config["query_pre_attn_scalar"] ** -0.5, window=window)
        return matrix(get, f"{at}.o_proj", x.shape[-1], mixed)

    return gemma_sandwich(get, attention)


def gpt2(get):
    """Matrices are stored as [in, out]."""
    config = get.config
    dim, heads, eps = config["n_embd"], config["n_head"], config["layer_norm_epsilon"]
    inner = config.get("n_inner", 4 * dim)
    activation = {"gelu_new": gelu_tanh, "gelu": F.gelu}[config["activation_function"]]

    def norm(name, x):
        return F.layer_norm(x, [dim], get(f"{name}.weight", dim), get(f"{name}.bias", dim), eps)

    def convolution(name, n_in, n_out, x):
        return torch.addmm(get(f"{name}.bias", n_out), x, get(f"{name}.weight", n_in, n_out))

    table = get("transformer.wte.weight", config["vocab_size"], dim)
    x = table[TOKENS] + get("transformer.wpe.weight", config["n_positions"], dim)[: len(TOKENS)]
    for i in range(config["n_layer"]):
        at = f"transformer.h.{i}"
        together = convolution(f"{at}.attn.c_attn", dim, 3 * dim, norm(f"{at}.ln_1", x))
        q, k, v = (t.reshape(len(TOKENS), heads, dim // heads) for t in together.split(dim, -1))
        x = x + convolution(f"{at}.attn.c_proj", dim, dim, attend(q, k, v))
        fed = activation(convolution(f"{at}.mlp.c_fc", dim, inner, norm(f"{at}.ln_2", x)))
        x = x + convolution(f"{at}.mlp.c_proj", inner, dim, fed)
    x = norm("transformer.ln_f", x)
    return x @ (table if config.get("tie_word_embeddings", True) else get("lm_head.weight", *table.shape)).T


FAMILIES = {
    "LlamaForCausalLM": llama,
    "MistralForCausalLM": llama,
    "MixtralForCausalLM": mixtral,
    "Qwen2ForCausalLM": lambda get: pre_norm_model(get, qwen2_attention(get), qwen_dense(get)),
    "Qwen3ForCausalLM": lambda get: pre_norm_model(get, qwen3_attention(get), qwen_dense(get)),
    "Qwen2MoeForCausalLM": lambda get: pre_norm_model(get, qwen2_attention(get), qwen_experts(get)),
    "Qwen3MoeForCausalLM": lambda get: pre_norm_model(get, qwen3_attention(get), qwen_experts(get)),
    "SmolLM3ForCausalLM": smollm3,
    "GemmaForCausalLM": gemma,
    "Gemma2ForCausalLM": gemma2,
    "Gemma3ForCausalLM": gemma3,
    "Phi3ForCausalLM": phi3,
    "Olmo2ForCausalLM": olmo2,
    "GPT2LMHeadModel": gpt2,
}


def main():
    with open(os.path.join(FOLDER, "cases.json")) as file:
        cases = json.load(file)
    lines = []
    with np.errstate(over="ignore"):
        for case in cases:
            get = Checkpoint(case["config"])
            logits = FAMILIES[case["config"]["architectures"][0]](get)
            rows = [base64.b64encode(logits[row].numpy().astype("<f4").tobytes()).decode() for row in ROWS]
            lines.append(f'    "{case["name"]}": [\n' + ",\n".join(f'      "{row}"' for row in rows) + "\n    ]")
            print(case["name"], f"{logits.abs().max():.3f}")
    path = os.path.join(FOLDER, "logits.json")
    with open(path, "w") as file:
        head = f'{{\n  "tokens": {json.dumps(TOKENS)},\n  "rows": {json.dumps(ROWS)},\n  "logits": {{\n'
        file.write(head + ",\n".join(lines) + "\n  }\n}\n")
    print(f"{len(lines)} cases, {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
