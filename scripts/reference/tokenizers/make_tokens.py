"""Writes src/text/reference/tokens.json: the ids that the makers' own libraries give for nasty texts.

pip install tokenizers==0.23.2 sentencepiece==0.2.2, then python3 scripts/reference/tokenizers/make_tokens.py

Small vocabularies are trained here: byte-level merges by Hugging Face's tokenizers (Rust), pieces by SentencePiece. Each case is a
tokenizer.json of one family's make over one of them, encoded by the Rust library, or a SentencePiece model, encoded by itself.
"""

import copy
import json
import os
import tempfile

import definitions
import sentencepiece
import tokenizers
from texts import TEXTS, corpus

TARGET = os.path.join(os.path.dirname(__file__), "..", "..", "..", "src", "text", "reference", "tokens.json")
BYTE_TOKENS = 1200
PIECES = 1000
SYMBOLS = ["\n\n", "\n\n\n", "▁▁", "▁▁▁", "▁▁▁▁", "<start_of_turn>", "<end_of_turn>"]


def byte_vocabulary():
    """Tokens by id and merges of a byte-level vocabulary, trained on whole runs so that every way of cutting words shows."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    step = {"type": "Split", "pattern": {"Regex": r" ?\S+|\s+"}, "behavior": "Isolated", "invert": False}
    shell = json.loads(tokenizer.to_str())
    shell["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [step, definitions.BYTES]}
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(shell))
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=BYTE_TOKENS, show_progress=False, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return {"tokens": sorted(model["vocab"], key=model["vocab"].get), "merges": [" ".join(m) for m in model["merges"]]}


def piece_model(kind, **options):
    """A SentencePiece model trained on the corpus, as bytes."""
    with tempfile.TemporaryDirectory() as folder:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus()),
            model_prefix=os.path.join(folder, "m"),
            model_type=kind,
            vocab_size=PIECES,
            byte_fallback=kind == "bpe",
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            split_digits=True,
            allow_whitespace_only_pieces=True,
            character_coverage=0.98,
            num_threads=1,
            minloglevel=2,
            **options,
        )
        with open(os.path.join(folder, "m.model"), "rb") as file:
            return file.read()


def pieces_of(model, symbols=()):
    """Text, score and type (as GGUF has them) of each piece; `symbols` are the user-defined ones."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    def type_of(id):
        if processor.is_unknown(id):
            return 2
        if processor.is_control(id):
            return 3
        if processor.is_byte(id):
            return 6
        return 4 if processor.id_to_piece(id) in symbols else 1

    return [(processor.id_to_piece(id), processor.get_score(id), type_of(id)) for id in range(processor.get_piece_size())]


def merges_of(pieces):
    """All ways of making a piece from two others, best score first, as converters to tokenizer.json list them."""
    ids = {text: id for id, (text, _, type) in enumerate(pieces) if type in (1, 4)}
    merges = []
    for text, score, type in pieces:
        if type not in (1, 4):
            continue
        splits = [(text[:cut], text[cut:]) for cut in range(1, len(text))]
        known = [split for split in splits if split[0] in ids and split[1] in ids]
        merges.extend((-score, ids[left], ids[right], left, right) for left, right in known)
    return [[left, right] for *_, left, right in sorted(merges)]


def changed_texts(texts):
    """Those that differ from TEXTS, by index."""
    return {index: text for index, text in enumerate(texts) if text != TEXTS[index]}


def lines(content):
    """JSON with one line for each entry of the lists of cases."""
    compact = lambda value: json.dumps(value, ensure_ascii=True, separators=(",", ":"))  # noqa: E731
    rows = []
    for key, value in content.items():
        is_cases = isinstance(value, list) and isinstance(value[0], dict)
        rows.append(f"{compact(key)}:" + ("[\n" + ",\n".join(map(compact, value)) + "\n]" if is_cases else compact(value)))
    return "{\n" + ",\n".join(rows) + "\n}\n"


def main():
    bytes_vocabulary = byte_vocabulary()
    bpe = piece_model("bpe")
    gemma = piece_model("bpe", add_dummy_prefix=False, user_defined_symbols=SYMBOLS)
    unigram = piece_model("unigram")
    vocabularies = {
        "bytes": {"tokens": " ".join(bytes_vocabulary["tokens"]), "merges": bytes_vocabulary["merges"]},
    }
    for name, model in [("llama", bpe), ("gemma", gemma), ("unigram", unigram)]:
        pieces = pieces_of(model, SYMBOLS if name == "gemma" else ())
        vocabularies[name] = {
            "tokens": [text for text, _, _ in pieces],
            "scores": [round(score, 6) for _, score, _ in pieces],
            "types": [type for _, _, type in pieces],
        }
    models = {
        "bytes": {
            "type": "BPE",
            "vocab": {token: id for id, token in enumerate(bytes_vocabulary["tokens"])},
            "merges": [merge.split(" ") for merge in bytes_vocabulary["merges"]],
        },
        "llama": definitions.piece_bpe(vocabularies["llama"]["tokens"], merges_of(pieces_of(bpe))),
        "gemma": definitions.piece_bpe(vocabularies["gemma"]["tokens"], merges_of(pieces_of(gemma, SYMBOLS))),
        "unigram": {
            "type": "Unigram",
            "unk_id": 0,
            "byte_fallback": False,
            "vocab": [list(pair) for pair in zip(vocabularies["unigram"]["tokens"], vocabularies["unigram"]["scores"])],
        },
    }
    cases = []
    for name, vocabulary, definition in definitions.all_definitions(vocabularies):
        whole = copy.deepcopy(definition)
        whole["model"] = {**models[vocabulary], **definition["model"]}
        tokenizer = tokenizers.Tokenizer.from_str(json.dumps({"version": "1.0", "truncation": None, "padding": None, **whole}))
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
        framed = tokenizer.encode("a", add_special_tokens=True).ids
        decoded = changed_texts(tokenizer.decode(each, skip_special_tokens=False) for each in ids)
        case = {"name": name, "vocabulary": vocabulary, "definition": definition, "framed": framed}
        cases.append({**case, "decoded": decoded, "ids": ids})
    sentence_pieces = []
    for name, model in [("llama", bpe), ("gemma", gemma)]:
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        ids = [processor.encode(text) for text in TEXTS]
        decoded = changed_texts(processor.decode(each) for each in ids)
        sentence_pieces.append({"vocabulary": name, "decoded": decoded, "ids": ids})
    content = {
        "note": f"tokenizers {tokenizers.__version__}, sentencepiece {sentencepiece.__version__}; made by scripts/reference/tokenizers",
        "texts": TEXTS,
        "vocabularies": vocabularies,
        "merges": {name: [" ".join(m) for m in models[name]["merges"]] for name in ["llama", "gemma"]},
        "tokenizers": cases,
        "sentencePieces": sentence_pieces,
    }
    with open(TARGET, "w", encoding="utf-8") as file:
        file.write(lines(content))
    print(os.path.getsize(TARGET), "bytes,", len(cases), "tokenizers")


if __name__ == "__main__":
    main()
