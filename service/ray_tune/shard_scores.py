"""Scores that grow shard by shard, so that a scheduler of Ray Tune's may stop a candidate between two of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.evaluation import Evaluation, Score
from workers.racing import shards


class ShardScores:
    """What is known of a candidate after some looks.

    Args:
        sizes: measure → examples of its set.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._sizes = sizes
        self._seen: dict[str, dict[int, float]] = {name: {} for name in sizes}
        self._make_s = self._score_s = 0.0
        self.n_looks = 0

    @property
    def share(self) -> float:
        """Of all examples, how many were scored."""
        return sum(map(len, self._seen.values())) / sum(self._sizes.values())

    def add(self, part: Evaluation) -> None:
        """Take in the next look: the scores of one shard of each set."""
        for name, score in part.scores.items():
            shard = shards(self._sizes[name])[self.n_looks]
            self._seen[name].update(zip(shard, score.per_example, strict=True))
        self._make_s += part.make_s
        self._score_s += part.score_s
        self.n_looks += 1

    def evaluation(self) -> Evaluation:
        """The means so far; when all is scored, the scores in the sets' order, as if they had been taken at once."""
        is_whole = self.share == 1.0
        found = {name: Score.mean_of([seen[index] for index in sorted(seen)]) for name, seen in self._seen.items()}
        scores = found if is_whole else {name: _without_examples(score) for name, score in found.items()}
        return Evaluation(scores, self._make_s, self._score_s, share=self.share)

    def state(self) -> dict[str, Any]:
        """What a trial that is paused keeps."""
        return {"seen": self._seen, "make_s": self._make_s, "score_s": self._score_s, "n_looks": self.n_looks}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._seen, self.n_looks = state["seen"], state["n_looks"]
        self._make_s, self._score_s = state["make_s"], state["score_s"]


def _without_examples(score: Score) -> Score:
    """Those of a part must not be taken for the set's."""
    return Score(score.value, score.standard_error, score.n, ())
