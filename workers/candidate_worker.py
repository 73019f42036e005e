"""A worker: one live candidate, the sets, and the scorers over them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from search_spaces import MergeRecipe
from search_spaces.errors import CandidateError, ExportError, GenerationError
from search_spaces.merge_recipe import BASE
from workers.collector_pause import collector_paused
from workers.evaluation import Assignment, Evaluation, FailureReason, GradientRequest, Score
from workers.example_set import Example
from workers.gradient_scoring import GradientScoring, ScoredGradients
from workers.inference_engines import GenerationOptions, InferenceEngine
from workers.inference_engines.opening import load_engine
from workers.merge_memory import DEFAULT_CACHE_GIB
from workers.racing import RaceResult, race, shards
from workers.scorers import SCORERS, Scorer, ScorerOptions

if TYPE_CHECKING:
    from workers.checkpoints import OpenedCheckpoint

_T = TypeVar("_T")

# Enough for a short answer to look at; scoring does not depend on it.
_SHORT = GenerationOptions(max_new_tokens=48)


@dataclass(frozen=True, slots=True)
class Measure:
    """A scorer over a set.

    Args:
        scorer: a name in `SCORERS`.
        examples: the set; empty for a scorer that brings its own.
        options: of the scorer; None takes its defaults.
    """

    scorer: str
    examples: tuple[Example, ...]
    options: ScorerOptions | None = None

    def over(self, engine: InferenceEngine) -> Scorer:
        """The scorer, prepared for an engine."""
        return SCORERS[self.scorer](self.examples, engine, self.options)

    def part(self, indices: Sequence[int]) -> Measure:
        """The same over some of its examples."""
        return replace(self, examples=tuple(self.examples[index] for index in indices))


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """All that a worker needs to start; it travels to other processes.

    Args:
        models: model name → `ModelReference.notation`, `base` first, then the experts in order.
        measures: name → scorer and set; prepared at first use.
        dtype: of the live candidate.
        device: torch's name of it.
        n_threads: of torch on the CPU; None leaves torch's own choice.
        max_batch_tokens: see `TransformersEngine`.
        engine: `transformers` or `vllm`.
        tensor_parallel: see `VllmOptions`.
        cache_gib: see `MergeDevice`.
        tokenizer: whose tokens candidates have; see `MergeRecipe.tokenizer_source`.
        checkpoint_activations: backward passes compute activations again instead of keeping them: less memory, for one
            more forward pass.
        digests: model name → `content_digest`: a worker's node must have these files; empty where there is one node.
    """

    models: Mapping[str, str]
    measures: Mapping[str, Measure]
    dtype: str = "float32"
    device: str = "cpu"
    n_threads: int | None = None
    max_batch_tokens: int = 4096
    engine: str = "transformers"
    tensor_parallel: int = 1
    cache_gib: float = DEFAULT_CACHE_GIB
    tokenizer: str | None = None
    checkpoint_activations: bool = False
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def worker_class(self) -> type[CandidateWorker]:
        """What it sets up."""
        return CandidateWorker


class CandidateWorker:
    """Makes and scores candidates, one at a time.

    Args:
        setup: models, sets, device.

    Raises:
        CheckpointError: a model cannot be read.
        MisplacedModelError: this node lacks one, or holds another; see `check_placed`.
    """

    def __init__(self, setup: WorkerSetup) -> None:
        from workers.checkpoints.opening import open_checkpoints
        from workers.checkpoints.placed_models import check_placed

        self.setup = setup
        check_placed(setup.models, setup.digests)
        limit_threads(setup.n_threads)
        # First: what is no checkpoint is refused before transformers looks at it.
        checkpoints = open_checkpoints(setup.models, setup.tokenizer)
        open_candidate = _open_vllm if setup.engine == "vllm" else _open_transformers
        self.engine, self.candidate = open_candidate(setup, checkpoints)
        self.scorer = cache(self._prepare)
        self.shard_scorer = cache(self._prepare_shard)

    def _prepare(self, measure: str) -> Scorer:
        return self.setup.measures[measure].over(self.engine)

    def _prepare_shard(self, measure: str, shard: int) -> Scorer:
        whole = self.setup.measures[measure]
        return whole.part(shards(len(whole.examples))[shard]).over(self.engine)

    def evaluate(self, assignment: Assignment) -> Evaluation:
        """Make the candidate and score it; a candidate that fails is data, not an exception.

        Raises:
            GenerationError: a guard or judge gives no answers, which is not the candidate's fault.
            UserError: a gradient is asked for that does not exist; see `GradientScoring.score`.
        """
        try:
            make_s, _ = _timed(lambda: self.candidate.make(assignment.recipe))
            score_s, found = _timed(lambda: self._score(assignment))
            answers = self.engine.generate(assignment.prompts, _SHORT) if assignment.prompts else []
        except CandidateError as error:
            return Evaluation(failure=FailureReason(error.reason), message=str(error))
        except GenerationError:
            raise
        except (MemoryError, RuntimeError) as error:
            return _out_of_memory(error)
        if isinstance(found, RaceResult):
            return Evaluation(found.scores, make_s, score_s, tuple(answers), share=found.share)
        return Evaluation(
            found.scores,
            make_s,
            score_s,
            tuple(answers),
            gradients=found.gradients,
            gradient_failure=found.failure,
        )

    def _score(self, assignment: Assignment) -> RaceResult | ScoredGradients:
        if assignment.gradient is not None:
            return self._score_with_gradients(assignment, assignment.gradient)
        if assignment.look is not None:
            return self._score_look(assignment.measures, assignment.look)
        if assignment.rivals:
            sizes = {name: len(self.setup.measures[name].examples) for name in assignment.measures}
            return race(sizes, assignment.rivals, self._score_shard)
        scores = {name: self.scorer(name).score() for name in assignment.measures}
        _check_finite(scores)
        return RaceResult(scores, share=1.0)

    def _score_with_gradients(self, assignment: Assignment, request: GradientRequest) -> ScoredGradients:
        scoring = GradientScoring(self.candidate, assignment.recipe, self.scorer, request)
        found = scoring.score(assignment.measures)
        _check_finite(found.scores)
        return found

    def _score_look(self, measures: Sequence[str], look: int) -> RaceResult:
        """One shard of each set; a small set has none left for later looks."""
        sizes = {name: len(self.setup.measures[name].examples) for name in measures}
        scores = {name: Score.mean_of(self._score_shard(name, look)) for name, n in sizes.items() if shards(n)[look]}
        return RaceResult(scores, sum(score.n for score in scores.values()) / sum(sizes.values()))

    def _score_shard(self, measure: str, shard: int) -> tuple[float, ...]:
        score = self.shard_scorer(measure, shard).score()
        _check_finite({measure: score})
        return score.per_example

    def save(self, recipe: MergeRecipe, folder: Path, max_shard_size: str) -> None:
        """Make the candidate and write it as a Hugging Face folder: sharded safetensors, config, tokenizer.

        Raises:
            ExportError: the disk does not take it.
        """
        from safetensors import SafetensorError

        model = self.candidate.merged_model(recipe)
        try:
            model.save_pretrained(folder, max_shard_size=max_shard_size)
            self.engine.tokenizer.save_pretrained(folder)
        except (OSError, SafetensorError) as error:
            raise ExportError(f"The merged model must be written to '{folder}', but cannot be: {error}") from None

    def score_saved(self, folder: Path, measures: tuple[str, ...]) -> dict[str, Score]:
        """Load a saved model by itself and score it; the live candidate stays as it is."""
        engine = load_engine(str(folder), "auto", self.setup.device, self.setup.max_batch_tokens)
        return {name: self.setup.measures[name].over(engine).score() for name in measures}


def _open_transformers(setup: WorkerSetup, checkpoints: Mapping[str, OpenedCheckpoint]) -> tuple[Any, Any]:
    """The engine, and the `LiveCandidate` that it reads."""
    from workers.inference_engines.resized_model import load_resized_engine
    from workers.live_candidate import LiveCandidate

    folder = str(checkpoints[BASE].header.folder)
    if setup.tokenizer is None:
        engine = load_engine(folder, setup.dtype, setup.device, setup.max_batch_tokens)
    else:
        headers = {name: checkpoint.header for name, checkpoint in checkpoints.items()}
        engine = load_resized_engine(headers, setup.dtype, setup.device, setup.max_batch_tokens)
    engine.checkpoint_activations = setup.checkpoint_activations
    return engine, LiveCandidate(engine.model, checkpoints, setup.cache_gib)


def _open_vllm(setup: WorkerSetup, checkpoints: Mapping[str, OpenedCheckpoint]) -> tuple[Any, Any]:
    """The engine, and the `VllmCandidate` inside it."""
    from workers.inference_engines.vllm_engine import VllmEngine, VllmOptions
    from workers.vllm_candidate import VllmCandidate

    options = VllmOptions(setup.dtype, setup.device, setup.tensor_parallel, setup.max_batch_tokens, setup.n_threads)
    engine = VllmEngine(str(checkpoints[BASE].header.folder), options)
    return engine, VllmCandidate(engine, checkpoints, setup.cache_gib)


@collector_paused()
def limit_threads(n_threads: int | None) -> None:
    """Let torch and the fused loops use so many threads in this process; None leaves their own choice."""
    import torch

    if n_threads:
        torch.set_num_threads(n_threads)


def _timed(work: Callable[[], _T]) -> tuple[float, _T]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def _check_finite(scores: Mapping[str, Score]) -> None:
    for name, score in scores.items():
        if not math.isfinite(score.value):
            raise CandidateError(
                FailureReason.NON_FINITE_SCORE, f"Every score must be finite, but '{name}' is {score.value}."
            )


def _out_of_memory(error: Exception) -> Evaluation:
    """A failure for a lack of memory; any other error is raised again."""
    import torch

    # torch has an exception for the memory of a GPU, but none for that of the CPU.
    lacks_memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
    if not lacks_memory:
        raise error
    return Evaluation(failure=FailureReason.OUT_OF_MEMORY, message=str(error))
