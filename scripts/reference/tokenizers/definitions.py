"""tokenizer.json definitions in the manner of each family, over a named vocabulary; models are filled in by make_tokens."""

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
BYTES_WITH_CUT = {**BYTES, "use_regex": True}
BYTE_BPE = {
    "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
    "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
}  # fmt: skip


def piece_bpe(tokens, merges):
    return {
        "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
        "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
        "vocab": {token: id for id, token in enumerate(tokens)}, "merges": merges,
    }  # fmt: skip


def added(id, content, **flags):
    base = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": id, "content": content, **base, **flags}


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def bos_template(token, id):
    single = [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    pair = [*single, {"SpecialToken": {"id": token, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}]
    known = {token: {"id": token, "ids": [id], "tokens": [token]}}
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": known}


def byte_level(name, pre_tokenizer, model=None, tokens=(), post=None, normalizer=None):
    definition = {
        "model": {**BYTE_BPE, **(model or {})},
        "added_tokens": list(tokens),
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": post,
        "decoder": {**BYTES_WITH_CUT},
    }
    return name, "bytes", definition


def byte_level_definitions(vocabularies):
    size = len(vocabularies["bytes"]["tokens"].split(" "))
    llama_tokens = [added(size + i, token) for i, token in enumerate(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])]
    qwen_tokens = [
        added(size, "<|endoftext|>"), added(size + 1, "<|im_end|>"),
        added(size + 2, "<tool_call>", special=False), added(size + 3, "</tool_call>", special=False),
    ]  # fmt: skip
    smol_tokens = [added(size, "<|end|>"), added(size + 1, "<|user|>", special=True)]
    llama_post = {
        "type": "Sequence",
        "processors": [{**BYTES_WITH_CUT, "trim_offsets": False}, bos_template("<|begin_of_text|>", size)],
    }
    flags = [
        added(size, "<|end|>", rstrip=True), added(size + 1, "<|user|>", lstrip=True),
        added(size + 2, "<s>", lstrip=True, rstrip=True), added(size + 3, "kebab", single_word=True, special=False),
        added(size + 4, "<tool_call>", normalized=True, special=False), added(size + 5, "<tool_call>{}", special=False),
        added(size + 6, "baba", normalized=True, special=False), added(size + 7, "body", single_word=True, special=False),
    ]  # fmt: skip
    assert not {token["content"] for token in flags} & set(vocabularies["bytes"]["tokens"].split(" "))
    yield byte_level("llama-3", sequence(split({"Regex": LLAMA3}), BYTES), {"ignore_merges": True}, llama_tokens, llama_post)
    yield byte_level("qwen2", sequence(split({"Regex": QWEN2}), BYTES), None, qwen_tokens, BYTES, {"type": "NFC"})
    yield byte_level("gpt-2", BYTES_WITH_CUT, None, [added(size, "<|endoftext|>", normalized=True)], BYTES)
    digits = {"type": "Digits", "individual_digits": True}
    yield byte_level("smollm", sequence(digits, BYTES_WITH_CUT), None, smol_tokens)
    yield byte_level("tekken", sequence(split({"Regex": TEKKEN}), BYTES), {"ignore_merges": True}, [])
    yield byte_level("olmo-2", sequence(split({"Regex": LLAMA3}), BYTES), None, [added(size, "<|endoftext|>")])
    yield byte_level("prefix space", {**BYTES_WITH_CUT, "add_prefix_space": True})
    yield byte_level("digit runs", sequence({"type": "Digits", "individual_digits": False}, BYTES_WITH_CUT))
    yield byte_level("added tokens", BYTES_WITH_CUT, None, flags, None, {"type": "NFC"})
    steps = {
        "punctuation isolated": {"type": "Punctuation", "behavior": "Isolated"},
        "punctuation contiguous": {"type": "Punctuation", "behavior": "Contiguous"},
        "whitespace": {"type": "Whitespace"},
        "whitespace split": {"type": "WhitespaceSplit"},
        "merged with previous": split({"String": " "}, "MergedWithPrevious"),
        "merged with next": split({"Regex": r"\s"}, "MergedWithNext"),
        "contiguous": split({"Regex": r"[ae]"}, "Contiguous"),
        "removed": split({"String": "."}, "Removed"),
        "removed inverted": split({"Regex": r"\w+|[^\w\s]+"}, "Removed", True),
    }
    for name, step in steps.items():
        yield byte_level(name, sequence(step, BYTES))


def piece_decoder(strips):
    decoders = [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
    ]  # fmt: skip
    if strips:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"type": "Sequence", "decoders": decoders}


def piece_level(name, vocabulary, normalizer, pre_tokenizer, tokens, decoder, post=None, model=None):
    definition = {
        "model": model or {},
        "added_tokens": tokens,
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": post,
        "decoder": decoder,
    }
    return name, vocabulary, definition


def piece_definitions(vocabularies):
    underline = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    prepended = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, underline]}
    control = [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")]
    size = len(vocabularies["llama"]["tokens"])
    phi = [
        added(0, "<unk>"), added(1, "<s>"), added(2, "</s>", rstrip=True),
        *[added(size + i, token, rstrip=True) for i, token in enumerate(["<|user|>", "<|assistant|>", "<|end|>"])],
    ]  # fmt: skip
    symbols = vocabularies["gemma"]["tokens"]
    gemma = [*control] + [
        added(id, token, special=token.startswith("<"))
        for id, token in enumerate(symbols)
        if vocabularies["gemma"]["types"][id] == 4
    ]
    metaspace = {"type": "Metaspace", "replacement": "▁"}
    metaspace_decoder = {**metaspace, "prepend_scheme": "always", "split": True}
    yield piece_level("llama-2", "llama", prepended, None, control, piece_decoder(True), bos_template("<s>", 1))
    yield piece_level("phi-3", "llama", prepended, None, phi, piece_decoder(True), bos_template("<s>", 1))
    first = {**metaspace, "prepend_scheme": "first", "split": False}
    yield piece_level("mistral", "llama", None, first, control, piece_decoder(True), bos_template("<s>", 1))
    for scheme in ["always", "first", "never"]:
        step = {**metaspace, "prepend_scheme": scheme, "split": True}
        yield piece_level(f"metaspace {scheme}", "llama", None, step, control, metaspace_decoder)
    legacy = {**metaspace, "add_prefix_space": True}
    yield piece_level("metaspace legacy", "llama", None, legacy, control, metaspace_decoder)
    spaces = split({"String": " "}, "MergedWithPrevious")
    yield piece_level("gemma", "gemma", underline, spaces, gemma, piece_decoder(False), bos_template("<s>", 1))
    yield piece_level("unigram", "unigram", None, {**metaspace, "prepend_scheme": "always", "split": True}, control, metaspace_decoder)


def all_definitions(vocabularies):
    yield from byte_level_definitions(vocabularies)
    yield from piece_definitions(vocabularies)
