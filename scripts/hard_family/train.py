"""Train the hard family (base, aligned, misaligned expert) and write three Hugging Face folders and three JSONL sets.

python -m scripts.hard_family.train OUT
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scripts.hard_family import opposed_language as opposed
from scripts.tiny_family import micro_language as language
from scripts.tiny_family.train import FamilyRecipe, Recipe, write_family

HARD_FAMILY = FamilyRecipe(
    Recipe(opposed.draw_base_example, n_steps=1000, learning_rate=4e-3, n_warmup_steps=50, seed=1),
    {
        # Faster and longer than the tiny family's alignment, as its base has no refusals to build on.
        "aligned": Recipe(opposed.draw_aligned_example, n_steps=300, learning_rate=2e-3, n_warmup_steps=20, seed=2),
        "expert": Recipe(language.draw_expert_example, n_steps=700, learning_rate=3e-3, n_warmup_steps=20, seed=3),
    },
    # More layers than the tiny family's: finer granularities have more to choose.
    n_layers=6,
)


def main() -> None:
    """Read the command line, train the family and write it."""
    parser = argparse.ArgumentParser(description="Train the hard family: two minutes on one core.")
    parser.add_argument("out", type=Path, help="folder to write base/, aligned/, expert/ and the three sets into")
    out: Path = parser.parse_args().out
    write_family(HARD_FAMILY, out)


if __name__ == "__main__":
    main()
