"""Texts that tokenisers stumble over, and a corpus to train small vocabularies on. Nothing here is anybody's text."""

import random

TEXTS = [
    "",
    " ",
    "  ",
    "\n",
    "a",
    "Hello, world!",
    " leading space",
    "   three leading spaces",
    "trailing space ",
    "trailing spaces   ",
    "double  spaces   in    the     middle",
    "\ttab\tand\t\ttabs",
    "line\nline\n\nline\n\n\nline\r\nline\r\n\r\nend\r",
    " \n \n\n  \t\n x",
    "x\u00a0y\u2003z\u3000w\u0085v\u2028u\ufefft",
    " " * 70 + "x" + " " * 33,
    "\n" * 20 + "x",
    "I'm you're he'll she'd they've it's don't",
    "I'M YOU'RE HE'LL SHE'D THEY'VE IT'S DON'T",
    "'tis 'twas o'clock 's 'S 'ſ rock'n'roll",
    "1 12 123 1234 12345 123456 1234567890",
    "3.14159 1,000,000 -5e-10 0xFF 10% $3.50 №5",
    "½ ² ³ Ⅷ ٣٤٥ ४५६ １２３ 𝟘𝟙𝟚",
    "The HTMLParser parsesHTMLFast iPhone eBook McDonald CamelCaseWord",
    "snake_case kebab-case dot.case path/to/file C:\\dir\\file",
    "for (let i = 0; i < n; i++) { sum += a[i] * b[i]; } // ok?",
    "def f(x):\n    if x > 1:\n        return x ** 2\n\n    return None\n",
    '{"key": [1, 2.5, null], "nested": {"a": "b\\n"}}',
    "<html><body class=\"x\">&amp;&lt;</body></html>",
    "$$\\int_0^1 x^2\\,dx = \\frac{1}{3}$$",
    "!!! ??? ... --- *** ### ((())) [[]] {{}} ~~ `` ^^ ||",
    "!?.,;:'\"()[]{}<>@#$%^&*-_=+|\\/~`",
    "Straße naïve café coöperate Ångström ÉCOLE façade",
    "e\u0301 a\u0308\u0323 n\u0303o\u0302 \u0301alone q\u0307\u0323",
    "ﬁ ﬂ ﬀ ŉ Ǆ ǅ ǆ İ ı ẞ",
    "Привет, мир! Как дела? ЁЛКА",
    "Γειά σου Κόσμε ΟΔΟΣ",
    "你好世界。今天天气很好！１００％",
    "こんにちは世界 カタカナ ひらがな ﾊﾝｶｸ",
    "안녕하세요 세계 한글 ㄱㄴㄷ",
    "שלום עולם נִקּוּד",
    "مرحبا بالعالم ٠١٢ لَا",
    "नमस्ते दुनिया क्षत्रिय",
    "สวัสดีชาวโลก ประเทศไทย",
    "🙂 😀😀 👍🏽 ❤️ 🏳️‍🌈",
    "👩‍👩‍👧‍👦👨🏿‍🚀 🇩🇪🇫🇷 1️⃣",
    "𝒳𝔸𝓑 𐍈 𓀀 𝄞 🀄",
    "\u0000\u0001\u0007\u001b[0m\u007f\u0080\u009f",
    "a\u200bb\u200cc\u200dd\u2060e\u00adf\u200e\u202e",
    "\ufffd \ufffe \uffff \U0010ffff \ue000",
    "▁under▁▁line ▁ ▁▁ _",
    "Ġ Ċ â ĠĠ Ã©",
    "<0x41> <0x0A> <0xE2><0x82> 0x41>",
    "<s>bos</s> <unk> <pad> [INST] hi [/INST]",
    "<|begin_of_text|>a<|eot_id|> b <|end_of_text|>",
    "<|user|> hi<|end|>\n<|assistant|>\n ok <|end|> x",
    "<start_of_turn>user\nhi<end_of_turn>\n",
    "<tool_call>{}</tool_call> a<tool_call>b",
    "hahahahahahaha aaaaaaaaaaaaa 000000000000 ababababab",
    "the the the theThe THE the.the,the;the-the's",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
    "a.b.c. U.S.A. e.g. i.e., Mr. Dr. https://example.org/?q=1&r=2#s me@example.org",
    "‘curly’ “quotes” – en — em … • ™ © ® € £ ¥ ° ± × ÷",
    "camelCase HTMLParser iPhones x2y a/b/c and/or\n\n end...\n\n 12345678 nai\u0308ve I'LLama $50 #12 1stand2nd",
    "mixedالعربية中文русский🙂text",
]


def corpus(seed=1):
    """Sentences of made-up words, code, numbers and the texts above, the same on every run."""
    draw = random.Random(seed)
    onsets = ["", "b", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "t", "th", "st", "tr", "w", "ch", "pr"]
    rimes = ["a", "e", "i", "o", "u", "an", "en", "in", "on", "er", "ar", "or", "al", "ing", "ed", "ion", "es", "y"]
    common = "the of and to in is it that for was he on as with his they at be this from have or by one had not but".split()
    words = ["".join(draw.choice(onsets) + draw.choice(rimes) for _ in range(draw.randint(1, 3))) for _ in range(300)]
    for _ in range(1500):
        line = []
        for _ in range(draw.randint(4, 12)):
            word = draw.choice(common) if draw.random() < 0.5 else draw.choice(words)
            style = draw.random()
            if style < 0.1:
                word = word.capitalize()
            elif style < 0.13:
                word = word.upper()
            elif style < 0.17:
                word = str(draw.randint(0, 10 ** draw.randint(1, 6)))
            elif style < 0.20:
                word += draw.choice(["'s", "'t", "'ll", "'re"])
            line.append(word)
        yield " ".join(line) + draw.choice([".", "!", "?", ",", ";", ":", "...", ""])
    joined = ["camelCase", "HTMLParser", "iPhone", "don't", "DON'T", "I'LL", "cafe\u0301s", "\u0928\u092e\u0938\u094d\u0924\u0947", "x2", "12345", "3.14"]
    joined += ["a/b", "(x)", "!=", "end.", "a_b", "and/or\n", "...\n\n", "!\n", "\r\n", "e\u0301a", "the1the", "1st", "$5", "#1"]
    for _ in range(40):
        yield " ".join(joined)
        yield "".join(joined)
    for _ in range(4):
        yield from (text for text in TEXTS if text)
    for indent in range(1, 9):
        for _ in range(10):
            yield " " * (4 * indent) + "x = y;\n" + "\t" * indent + "z += 1\n"
