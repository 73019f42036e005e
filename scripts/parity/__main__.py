"""Merge the same recipes here and by the real mergekit, and say how far they lie apart.

python -m scripts.parity                  # against what is stored, too
python -m scripts.parity --regenerate     # store mergekit's results for the tests anew
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from scripts.parity import golden
from scripts.parity.mergekit_runs import Mergekit
from scripts.parity.method_parity import MethodParity, Verdict
from scripts.parity.record import write_record
from scripts.parity.small_checkpoints import FAMILIES, GOLDEN_FAMILIES, random_tensors, write_family
from search_spaces import METHOD_SIGNATURES


def main() -> int:
    """One line per method and case; the last one counts them."""
    arguments = _arguments()
    torch.set_num_threads(1)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    set_verbosity_error()  # type: ignore[no-untyped-call]
    mergekit = Mergekit(arguments.mergekit)
    described = mergekit.described()
    shared = [name for name in METHOD_SIGNATURES if name in described["methods"]]
    chosen = arguments.methods or shared
    odd = [name for name in chosen if name not in shared]
    if odd:
        sys.exit(f"Both tools must have a method to compare it, but '{odd[0]}' is none of {', '.join(shared)}.")
    if arguments.regenerate:
        golden.write_sources()
    folder = Path(tempfile.mkdtemp(prefix="paretomerge-parity-"))
    try:
        verdicts = []
        for verdict in _all_verdicts(chosen, mergekit, folder, arguments.regenerate):
            verdicts.append(verdict)
            word = "kept" if verdict.kept else "BROKEN"
            print(f"{verdict.method:16} {verdict.words:88} {verdict.found:36} {word}", flush=True)
    finally:
        shutil.rmtree(folder)
    if chosen == shared:
        write_record(verdicts, described)
    n_kept = sum(verdict.kept for verdict in verdicts)
    print(f"parity: {n_kept} of {len(verdicts)} kept")
    return int(n_kept < len(verdicts))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", help="only these; no record is written then")
    parser.add_argument("--mergekit", type=Path, default=Path(".venv-mergekit/bin/python"), help="its interpreter")
    parser.add_argument("--regenerate", action="store_true", help="store mergekit's results for the tests anew")
    return parser.parse_args()


def _all_verdicts(methods: list[str], mergekit: Mergekit, folder: Path, regenerate: bool) -> Iterator[Verdict]:
    families = {family.name: write_family(family, random_tensors(family), folder) for family in FAMILIES}
    for family in GOLDEN_FAMILIES:
        families[family.name] = write_family(family, golden.read_sources(family.name), folder)
    for method in methods:
        parity = MethodParity(method, families, folder / method)
        yield from parity.verdicts(mergekit)
        if regenerate:
            parity.store()
        yield from parity.stored_verdicts()
        shutil.rmtree(folder / method)


if __name__ == "__main__":
    sys.exit(main())
