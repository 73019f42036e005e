"""Questions that are nearly the same: left out, or kept on one side of a split."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import numpy as np
from rapidfuzz import fuzz, process
from rapidfuzz.distance import Levenshtein
from scipy.sparse.csgraph import connected_components

# Two questions that differ by so few letters are one for the split: a misprint, a plural, a digit.
MAX_EDITS = 2


def normalized(question: str) -> str:
    """A question without what does not change it: case and spaces."""
    return " ".join(question.casefold().split())


class KnownQuestions:
    """Questions that were seen, and whether another one is nearly one of them.

    Args:
        similarity: 0 to 1; two questions at least so similar (twice the letters they share in order, over the
            letters of both) are duplicates.
        questions: seen from the start, such as the examples.
    """

    def __init__(self, similarity: float, questions: Iterable[str] = ()) -> None:
        self._cutoff = 100 * similarity
        self._seen: dict[str, None] = dict.fromkeys(map(normalized, questions))

    def add(self, question: str) -> bool:
        """Note a question; False where it, or nearly it, is known."""
        text = normalized(question)
        if text in self._seen or process.extractOne(
            text, self._seen.keys(), scorer=fuzz.ratio, score_cutoff=self._cutoff
        ):
            return False
        self._seen[text] = None
        return True


def split_apart(questions: Sequence[str], holdout_share: float, seed: int) -> list[str]:
    """Which split each question belongs to.

    Questions within `MAX_EDITS` edits of each other, and all that such steps connect, stay on one side: no question
    held out is one of the search in other letters.

    Args:
        questions: of one set.
        holdout_share: at most this share is held out; less where connected questions are many.
        seed: of the order in which they are taken.

    Returns:
        `search` or `holdout` for each question.
    """
    room = round(holdout_share * len(questions))
    splits = ["search"] * len(questions)
    clusters = _clusters(questions)
    random.Random(seed).shuffle(clusters)
    for cluster in clusters:
        if len(cluster) <= room:
            room -= len(cluster)
            for index in cluster:
                splits[index] = "holdout"
    return splits


def _clusters(questions: Sequence[str]) -> list[list[int]]:
    if not questions:
        return []
    texts = [normalized(question) for question in questions]
    # 5,000 questions are a matrix of 25 MB; what lies beyond the cutoff is reported as one more than it.
    distances = process.cdist(texts, texts, scorer=Levenshtein.distance, score_cutoff=MAX_EDITS, dtype=np.uint8)
    n_clusters, cluster_of = connected_components(distances <= MAX_EDITS, directed=False)
    clusters: list[list[int]] = [[] for _ in range(n_clusters)]
    for index, cluster in enumerate(cluster_of):
        clusters[cluster].append(index)
    return clusters
