"""What the table of methods says of parity: written here, read where torch is not loaded."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from scripts.parity.method_parity import Verdict
from scripts.parity.ulps import Agreement
from service.methods import RECORD_FILE


def write_record(verdicts: Sequence[Verdict], mergekit: Mapping[str, Any]) -> None:
    """Write it anew where a number changed; the date is that of the last change.

    Args:
        verdicts: of all shared methods.
        mergekit: see `Mergekit.described`.
    """
    methods = list(dict.fromkeys(verdict.method for verdict in verdicts))
    found = {
        "mergekit": mergekit["mergekit"],
        "mergekit_methods": mergekit["methods"],
        "torch": mergekit["torch"],
        "methods": {method: _summary([v for v in verdicts if v.method == method]) for method in methods},
    }
    before = json.loads(RECORD_FILE.read_text()) if RECORD_FILE.exists() else {}
    if found != {key: value for key, value in before.items() if key != "date"}:
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        RECORD_FILE.write_text(json.dumps({"date": today, **found}, indent=2) + "\n")


def _summary(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    agreement = sum((verdict.agreement for verdict in verdicts if verdict.agreement is not None), Agreement())
    return {
        "n_cases": len(verdicts),
        "n_kept": sum(verdict.kept for verdict in verdicts),
        # Rounded down: only what agrees everywhere is 1.
        "share_within_1_ulp": math.floor(agreement.share_within_1 * 1e6) / 1e6,
        "max_ulps": agreement.max_ulps,
    }
