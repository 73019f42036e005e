"""What the demonstration says: sentences that are true of the numbers at hand, or left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from service.search.measures import HOLDOUT
from service.studies import FinishedTrial
from workers.evaluation import Score

Holdout = Mapping[str, Mapping[str, Score]]  # candidate → measure → score

REFUSAL, EXACT_MATCH = f"refusal{HOLDOUT}", f"exact_match{HOLDOUT}"


def before_the_search(holdout: Holdout) -> Iterator[str]:
    """What the landmarks show: the expert alone, and the plain average."""
    expert, aligned, average = (holdout[name] for name in ("expert", "aligned", "uniform average"))
    if expert[REFUSAL].value < 0.5 < aligned[REFUSAL].value:
        yield (
            f"The expert alone is unsafe: it refuses {_percent(expert[REFUSAL])} of the forbidden requests, "
            f"the aligned model {_percent(aligned[REFUSAL])}."
        )
    if average[REFUSAL].value < 0.5 and average[EXACT_MATCH].value < expert[EXACT_MATCH].value:
        yield (
            f"The naive average loses on both sides: it refuses {_percent(average[REFUSAL])} "
            f"and answers {_percent(average[EXACT_MATCH])} of the expert's questions. One bad model spoils the bunch."
        )


def after_the_search(
    trials: Sequence[FinishedTrial], front: Sequence[FinishedTrial], selected: FinishedTrial
) -> Iterator[str]:
    """How the front and the selected merge stand to the landmarks."""
    landmarks = [trial for trial in trials if trial.landmark and trial.succeeded]
    average = next((trial for trial in landmarks if trial.landmark == "uniform average"), None)
    if average is not None and any(_dominates(trial, average) for trial in front):
        better = sum(_dominates(trial, average) for trial in front)
        yield f"{better} of the {len(front)} merges on the front beat the naive average in both objectives."
    best = max(landmarks, key=lambda trial: min(trial.values))
    verdict = "beats" if min(selected.values) > min(best.values) else "does not beat"
    yield (
        f"By the worse of its two objectives, the selected merge ({min(selected.values):.3f}) {verdict} "
        f"the best landmark ({best.label}, {min(best.values):.3f})."
    )


def _dominates(one: FinishedTrial, other: FinishedTrial) -> bool:
    return all(a > b for a, b in zip(one.values, other.values, strict=True))


def _percent(score: Score) -> str:
    return f"{score.value:.0%}"
