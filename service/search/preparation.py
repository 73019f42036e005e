"""From a specification to everything that a search needs; all that can be wrong is found here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces import Landmark, MergeRecipe, SearchSpace
from search_spaces.errors import RecipeError, SpecificationError
from search_spaces.merge_recipe import BASE
from search_spaces.method_signatures import METHOD_SIGNATURES
from search_spaces.model_reference import is_hub_id
from service.search.earlier_front import ReadStudy, read_from_users_database, read_fronts
from service.search.measures import HOLDOUT, identity_of, read_measures
from service.search.space_options import space_options
from service.search.start_recipes import read_start
from service.specification import Specification, WorkersSection, restore_specification
from service.specification.schema import SpaceSection
from workers.candidate_worker import Measure, WorkerSetup
from workers.checkpoints.compatibility import check_compatible
from workers.checkpoints.fingerprint import fingerprint
from workers.checkpoints.header import CheckpointHeader
from workers.checkpoints.model_files import pinned, read_model_header, reference_of
from workers.checkpoints.vocabulary import aligned_headers
from workers.scorers import SCORERS

if TYPE_CHECKING:
    from service.samplers import SearchShape, TrialSeededSampler
    from service.studies import StoredStudy, StudyIdentity, StudyPlan
    from workers.worker_pools import WorkerPool
    from workers.worker_pools._base import Setup


@dataclass(frozen=True)
class PreparedSearch:
    """A specification whose models, sets and space have been read and fit together.

    Args:
        specification: as given, with the commits of hub ids.
        headers: model name → header, base first.
        space: what is searched.
        measures: name → scorer and examples: each objective on `search`, and as `NAME@holdout` with each
            report on the examples held out.
        checks_engine: whether the engine must be installed here to start workers.
        left_out: experts of the specification that are the base itself; the specification here is without them.
        start: recipes of `search.start`, inside the bounds.
    """

    specification: Specification
    headers: Mapping[str, CheckpointHeader]
    space: SearchSpace
    measures: Mapping[str, Measure]
    checks_engine: bool = True
    left_out: tuple[str, ...] = ()
    start: tuple[Landmark, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know before the search starts."""
        is_base = (
            f"'{name}' is the base itself: its task vector is zero, and it is left out." for name in self.left_out
        )
        return (*is_base, *self._moved)

    @property
    def _moved(self) -> Iterator[str]:
        folders = {name: reference_of(notation).model for name, notation in self.models.items()}
        return (
            f"'{name}' is taken from '{self.headers[name].folder}': '{folder}' is not on this machine."
            for name, folder in folders.items()
            if not is_hub_id(folder) and Path(folder) != self.headers[name].folder
        )

    @property
    def objectives(self) -> tuple[str, ...]:
        """The names of what is searched for, in the order of the trials' values."""
        return tuple(self.specification.objectives)

    @property
    def differentiable(self) -> tuple[str, ...]:
        """The objectives whose gradients with respect to a trial's parameters can be had."""
        from service.search.gradient_rules import differentiable_objectives

        return differentiable_objectives(self.specification, self.space)

    @property
    def gradient_cost(self) -> float | None:
        """Of a trial with gradients, in evaluation-equivalents; None where the sampler asks for none."""
        from service.studies.trial_cost import gradient_cost

        return (
            gradient_cost(self.specification.search.gradient_share) if self.choose_sampler()[0] == "gradient" else None
        )

    @property
    def holdout_measures(self) -> tuple[str, ...]:
        """What is scored on examples that the search did not see."""
        return tuple(name for name in self.measures if name.endswith(HOLDOUT))

    @property
    def models(self) -> dict[str, str]:
        """Model name → `ModelReference.notation`, base first."""
        return self.specification.models.notations

    @property
    def device(self) -> str:
        """Where candidates live."""
        return "cuda" if self.specification.workers.gpus_per_worker else "cpu"

    @cached_property
    def encoded_landmarks(self) -> dict[str, dict[str, float]]:
        """Name → trial parameters of the landmarks inside the bounds, recipes to start from first."""
        found = self._encoded_start
        for landmark in self.space.landmarks():
            try:
                found[landmark.name] = self.space.encode(landmark.recipe)
            except RecipeError:
                continue
        return found

    @property
    def _encoded_start(self) -> dict[str, dict[str, float]]:
        return {landmark.name: self.space.encode(landmark.recipe) for landmark in self.start}

    @property
    def landmarks_outside(self) -> list[Landmark]:
        """Landmarks that the bounds exclude."""
        return [landmark for landmark in self.space.landmarks() if landmark.name not in self.encoded_landmarks]

    @property
    def shape(self) -> SearchShape:
        """What the choice of a sampler rests on."""
        from service.samplers import SearchShape

        search, workers = self.specification.search, self.specification.workers
        return SearchShape(
            n_dims=self.space.n_dims,
            n_objectives=len(self.objectives),
            evaluations=search.evaluations,
            n_workers=workers.count,
            n_differentiable=len(self.differentiable),
            gradient_share=search.gradient_share,
            objectives=self.objectives,
            upper_bounds=tuple(SCORERS[self.measures[name].scorer].upper_bound for name in self.objectives),
        )

    def choose_sampler(self) -> tuple[str, str]:
        """The sampler's name and the reason for it."""
        from service.samplers import choose_sampler

        given = self.specification.search.sampler
        return choose_sampler(self.shape) if given == "auto" else (given, "named in the specification.")

    def sampler(self) -> TrialSeededSampler:
        """The sampler of the study."""
        from service.samplers import SAMPLERS, TrialSeededSampler

        name, _ = self.choose_sampler()
        seed = self.specification.search.seed
        return TrialSeededSampler(SAMPLERS[name], seed, self.shape, self.space.distributions())

    @property
    def identity(self) -> StudyIdentity:
        """What must not change while a study is continued; budget, sampler and workers may."""
        from service.studies import StudyIdentity

        specification = self.specification.model_dump(mode="json")
        # By content: a folder may be moved, and a set renamed.
        fixed: dict[str, Any] = {f"models.{name}": fingerprint(header) for name, header in self.headers.items()}
        if self.specification.models.tokenizer is not None:
            fixed["models.tokenizer"] = self.specification.models.tokenizer
        # Without what is left out, so that a parameter that is new to the specification changes no study.
        fixed["space"] = self.specification.space.model_dump(mode="json", exclude_none=True)
        fixed["search.seed"] = specification["search"]["seed"]
        fixed["workers.dtype"] = self.space.options.dtype
        fixed |= {f"objectives.{name}": identity_of(self.measures[name]) for name in self.objectives}
        return StudyIdentity(self.specification.name, self.objectives, fixed, specification)

    def plan(self) -> StudyPlan:
        """How the study goes on."""
        from service.studies import StudyPlan

        search = self.specification.search
        landmarks = self.encoded_landmarks if search.landmarks else self._encoded_start
        distributions, differentiable = self.space.distributions(), self.differentiable
        return StudyPlan(distributions, self.sampler(), search.evaluations, landmarks, differentiable)

    def recipe(self, params: Mapping[str, float]) -> MergeRecipe:
        """The recipe of a trial."""
        return self.space.decode(params)

    def worker_setup(self) -> WorkerSetup:
        """What every worker is told."""
        workers = self.specification.workers
        if self.checks_engine:
            _check_engine(workers)
        return WorkerSetup(
            models=self.models,
            measures=self.measures,
            dtype=self.space.options.dtype,
            device=self.device,
            n_threads=max(1, int(workers.cpus_per_worker)),
            max_batch_tokens=workers.max_batch_tokens,
            engine=workers.engine,
            tensor_parallel=workers.tensor_parallel,
            cache_gib=workers.cache_gib,
            checkpoint_activations=workers.checkpoint_activations,
            tokenizer=self.specification.models.tokenizer,
            digests=self._digests if self._has_several_nodes else {},
        )

    @cached_property
    def _digests(self) -> dict[str, str]:
        from workers.checkpoints.content_digest import content_digest

        return {name: content_digest(header) for name, header in self.headers.items()}

    @property
    def _has_several_nodes(self) -> bool:
        """Whether workers may run where other files lie under the same names."""
        workers = self.specification.workers
        return not self.checks_engine or (workers.pool == "ray" and workers.address != "local")

    def open_pool(self) -> WorkerPool:
        """Start the workers that the specification asks for."""
        return open_pool(self.worker_setup(), self.specification.workers)


def open_pool(setup: Setup, workers: WorkersSection) -> WorkerPool:
    """Start workers.

    Args:
        setup: of each of them.
        workers: how many, and where.

    Raises:
        PoolError: they do not start.
    """
    from workers.worker_pools import InProcessPool, RayOptions, RayPool

    if workers.pool == "in_process":
        return InProcessPool(setup)
    options = RayOptions(
        n_workers=workers.count,
        address=workers.address,
        cpus_per_worker=workers.cpus_per_worker,
        gpus_per_worker=workers.gpus_per_worker,
        timeout_s=workers.timeout_s,
        min_workers=workers.min_count,
    )
    return RayPool(setup, options)


def prepare_search(
    specification: Specification,
    *,
    checks_engine: bool = True,
    read_study: ReadStudy = read_from_users_database,
) -> PreparedSearch:
    """Read models' headers and sets, and build the space; no weights are loaded.

    Args:
        specification: of the search.
        checks_engine: whether the engine must be installed here, now and when workers start; not where they run
            on other nodes of a cluster.
        read_study: called for the searches from whose fronts this one starts, and for nothing else.

    Raises:
        UserError: whatever is wrong with the specification, a model, a set or this installation.
    """
    if checks_engine:
        _check_engine(specification.workers)
    prepared = _prepare(specification)
    search = specification.search
    start = read_start(search.start, prepared.space, read_fronts(search.fronts, prepared, read_study))
    return replace(prepared, checks_engine=checks_engine, start=tuple(start))


def _check_engine(workers: WorkersSection) -> None:
    """Whether the engine is installed where workers run; in a cluster elsewhere, only its workers can know."""
    is_here = workers.pool == "in_process" or workers.address == "local"
    if workers.engine == "vllm" and is_here and find_spec("vllm") is None:
        raise SpecificationError(
            "`workers.engine: vllm` needs vLLM, which is not installed here. Install it in an environment of its own, "
            "`pip install 'paretomerge[vllm]'`, or use `transformers`."
        )


def _prepare(specification: Specification) -> PreparedSearch:
    from service.samplers import SAMPLERS
    from service.search.gradient_rules import check_gradient_search

    if not specification.objectives:
        raise SpecificationError("`objectives` must hold at least one for a search, but is missing.")
    sampler = specification.search.sampler
    if sampler not in (*SAMPLERS, "auto"):
        raise SpecificationError(
            f"`search.sampler` must be one of {', '.join(('auto', *SAMPLERS))}, but got '{sampler}'."
        )
    headers = {name: read_model_header(text) for name, text in specification.models.notations.items()}
    specification, left_out = _effective(specification, headers)
    models = specification.models.notations
    headers = aligned_headers({name: headers[name] for name in models}, specification.models.tokenizer)
    check_compatible(headers[BASE], {name: header for name, header in headers.items() if name != BASE})
    space = SearchSpace(
        base=models[BASE],
        experts={name: text for name, text in models.items() if name != BASE},
        tensor_names=headers[BASE].merged_names,
        options=space_options(specification, headers[BASE]),
    )
    measures = read_measures(specification)
    _check_racing(specification)
    prepared = PreparedSearch(specification, headers, space, measures, left_out=left_out)
    check_gradient_search(specification, space, measures, prepared.choose_sampler()[0])
    return prepared


def _effective(
    specification: Specification, headers: Mapping[str, CheckpointHeader]
) -> tuple[Specification, tuple[str, ...]]:
    """The specification with the commits of the hub that were read, and without experts that are the base itself.

    Such an expert's task vector is zero; configurations of mergekit often list the base among the models. Where the
    base has no part in the merge it is an expert like others.
    """
    given = specification.models
    _check_tokenizer(specification)
    digest = fingerprint(headers[BASE])
    same = tuple(name for name in given.experts if fingerprint(headers[name]) == digest)
    is_pointless = _merges_base(specification.space, len(given.experts)) or len(same) == len(given.experts) > 1
    left_out = same if is_pointless else ()
    experts = {name: pinned(given.notations[name], headers[name]) for name in given.experts if name not in left_out}
    if not experts:
        raise SpecificationError(
            f"`models.experts` must hold a model that differs from the base, but {', '.join(left_out)} "
            f"{'is' if len(left_out) == 1 else 'are'} the base itself, and its task vector is zero."
        )
    base = pinned(given.notations[BASE], headers[BASE])
    tokenizer = BASE if given.tokenizer in left_out else given.tokenizer
    models = given.model_copy(update={BASE: base, "experts": experts, "tokenizer": tokenizer})
    rules = tuple(rule for rule in specification.space.bounds if rule.expert not in left_out)
    space = specification.space.model_copy(update={"bounds": rules})
    return specification.model_copy(update={"models": models, "space": space}), left_out


def _merges_base(space: SpaceSection, n_experts: int) -> bool:
    """Whether the base has a part in the arithmetic; an unknown method is told of where all are known."""
    signature = METHOD_SIGNATURES.get(space.method)
    if signature is None:
        return True
    if signature.merges_a_pair:
        return n_experts == 1
    return signature.base_has_parameters or signature.merges_task_vectors(space.task_vectors)


def _check_tokenizer(specification: Specification) -> None:
    models, space = specification.models, specification.space
    if models.tokenizer is None:
        return
    if specification.workers.engine == "vllm":
        raise SpecificationError(
            "`models.tokenizer` needs `workers.engine: transformers`: vLLM runs the base with the tokens that it has."
        )
    if not _merges_base(space, len(models.experts)):
        raise SpecificationError(
            f"`models.tokenizer` needs a base that is merged as well, for it lends its rows to the others, but with "
            f"'{space.method}' it has no part in this merge. Use another method, or models of one vocabulary."
        )


def _check_racing(specification: Specification) -> None:
    """A race is over parts of a set, which must be known to be taken."""
    for name, section in specification.objectives.items():
        if specification.search.racing and SCORERS[section.scorer].brings_examples:
            raise SpecificationError(
                "`search.racing` must be false where a scorer brings its own examples, which cannot be scored in "
                f"parts, but `objectives.{name}.scorer` is '{section.scorer}'. Leave racing out, or choose another."
            )


def prepare_stored(stored: StoredStudy, *, checks_engine: bool = True) -> PreparedSearch:
    """Prepare the search that a study was made by, from the models and sets as they are now.

    Its engine is missed only where workers are started: results can be looked at without, and without the recipes
    that it started from.

    Args:
        stored: the study.
        checks_engine: whether workers need the engine here, as in `prepare_search`.

    Raises:
        UserError: see `prepare_search`.
    """
    return replace(_prepare(restore_specification(stored.identity.specification)), checks_engine=checks_engine)
