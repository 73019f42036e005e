"""The same search under Ray Tune, for people whose pipelines are Tune's; it needs the extra `paretomerge[tune]`."""

from __future__ import annotations

from service.ray_tune.searcher import StudySearcher
from service.ray_tune.study_callback import StudyCallback
from service.ray_tune.trainable import MergeTrainable
from service.ray_tune.tuner import merge_trainable, merge_tuner

__all__ = ["MergeTrainable", "StudyCallback", "StudySearcher", "merge_trainable", "merge_tuner"]
