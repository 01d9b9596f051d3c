"""Bytes of x86-64 instructions as GNU as assembles them, for the tests of src/target/x64/assembler.

The instructions are the samples that samples.fixture.ts draws from our tables; the bytes are GNU's alone. An
instruction that GNU as refuses ends the script: the tables must not offer it.

    python3 scripts/reference/make_x64_encodings.py            writes encodings.json
    python3 scripts/reference/make_x64_encodings.py check 12   prints what 12 samples a form find differing, writes nothing
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "src/target/x64/assembler"
# Shapes that many instructions share are sampled closely in these.
THOROUGH = ["mov", "add.d", "lea", "vmovups", "vmovdqu8", "vfmadd231ps", "vaddsd", "vpmovdb", "vpternlogd", "vcvtph2ps"]
FAR = 200


def run_node(expression):
    """Evaluates an expression over the modules of the assembler's tests and gives its value."""
    program = f"""
        import {{ samples }} from './samples.fixture.ts';
        import {{ encode }} from './encode.fixture.ts';
        process.stdout.write(JSON.stringify({expression}));
    """
    bundle = subprocess.run(
        ["npx", "esbuild", "--bundle", "--platform=node", "--log-level=error"],
        input=program, cwd=FOLDER, text=True, capture_output=True, check=True,
    ).stdout
    return json.loads(subprocess.run(["node", "-"], input=bundle, text=True, capture_output=True, check=True).stdout)


def assemble(texts):
    """The bytes of each instruction. `next` is the label behind it, `back` the one at it, `far` one 200 bytes before."""
    lines = [".intel_syntax noprefix"]
    for i, text in enumerate(texts):
        if re.search(r"\bfar\b", text):
            lines.append(f"far{i}: .skip {FAR}")
        lines.append(f"start{i}:")
        lines.append(re.sub(r"\b(far|next)\b", rf"\g<1>{i}", re.sub(r"\bback\b", f"start{i}", text)))
        lines.append(f"next{i}:")
    with tempfile.TemporaryDirectory() as folder:
        source, binary, flat = (f"{folder}/{name}" for name in ("a.s", "a.o", "a.bin"))
        pathlib.Path(source).write_text("\n".join(lines) + "\n")
        result = subprocess.run(["as", "-o", binary, source], capture_output=True, text=True)
        if result.returncode != 0:
            for line in result.stderr.splitlines()[1:]:
                number = re.match(r".*?:(\d+): (.*)", line)
                print(f"{lines[int(number[1]) - 1]}: {number[2]}" if number else line, file=sys.stderr)
            sys.exit("GNU as refuses samples")
        subprocess.run(["objcopy", "-O", "binary", "-j", ".text", binary, flat], check=True)
        code = pathlib.Path(flat).read_bytes()
        symbols = subprocess.run(["nm", binary], capture_output=True, text=True, check=True).stdout
    at = {name: int(address, 16) for address, _, name in (line.split() for line in symbols.splitlines())}
    return [code[at[f"start{i}"] : at[f"next{i}"]].hex() for i in range(len(texts))]


def main():
    check = sys.argv[1:2] == ["check"]
    per_form = int(sys.argv[2]) if check else 2
    rows = run_node(f"samples({per_form}, new Set({json.dumps(THOROUGH)}))")
    encodings = assemble([row["text"] for row in rows])
    if check:
        ours = run_node(f"samples({per_form}, new Set({json.dumps(THOROUGH)})).map((s) => encode(s.name, s.operands))")
        wrong = [(row["text"], theirs, mine) for row, theirs, mine in zip(rows, encodings, ours) if theirs != mine]
        for text, theirs, mine in wrong:
            print(f"{text:60} as {theirs:26} ours {mine}")
        print(f"{len(wrong)} of {len(rows)} differ")
        return
    table = {}
    for row, encoding in zip(rows, encodings):
        table.setdefault(row["name"], []).append(f"{row['operands']}|{encoding}")
    version = subprocess.run(["as", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    content = {"assembler": version, "encodings": {name: ";".join(items) for name, items in table.items()}}
    path = FOLDER / "encodings.json"
    path.write_text(json.dumps(content, indent=2) + "\n")
    print(f"{path.relative_to(ROOT)}: {len(rows)} instructions, {len(table)} mnemonics, {path.stat().st_size} bytes")


main()
