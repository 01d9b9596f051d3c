"""Writes src/ir/reference/*.json: what NumPy and PyTorch give for each op and composite of the op table.

Debian: apt-get install python3-numpy python3-torch libopenblas0, then python3 scripts/reference/make_references.py
"""

import json
import os

import composites
import elementwise
import movement
import reductions
from tensors import Cases

TARGET = os.path.join(os.path.dirname(__file__), "..", "..", "src", "ir", "reference")
FAMILIES = {
    "elementwise": elementwise.add_cases,
    "movement": movement.add_cases,
    "reduction": reductions.add_reduction_cases,
    "contraction": reductions.add_contraction_cases,
    "composite": composites.add_cases,
}


def main():
    os.makedirs(TARGET, exist_ok=True)
    for family, add_cases in FAMILIES.items():
        cases = Cases()
        add_cases(cases)
        path = os.path.join(TARGET, f"{family}.json")
        cases.write(path)
        print(f"{family}: {len(cases.lines)} cases, {os.path.getsize(path)} bytes")
    scaled = composites.llama3_frequencies(64, 500000.0, 32, 1, 4, 8192)
    with open(os.path.join(TARGET, "llama3-frequencies.json"), "w") as file:
        json.dump(scaled, file)
        file.write("\n")


if __name__ == "__main__":
    main()
