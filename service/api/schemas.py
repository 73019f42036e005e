"""What the API takes and gives; the page, the client and OpenAPI read these."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.registry.states import JobState, SearchState

Split = Literal["search", "holdout"]
# PostgreSQL stores every character but one.
_NO_NUL = r"^[^\x00]*$"


class Answer(BaseModel):
    """What the API gives."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Request(BaseModel):
    """What the API takes; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


# ---- errors ----


class FieldProblem(Answer):
    """One mistake, and where it is."""

    key: str = Field(description="The key of the specification, or the parameter; empty for the whole.")
    detail: str


class Problem(Answer):
    """An error, after RFC 9457: what must hold, what was given, what to do."""

    type: str = Field(examples=["urn:paretomerge:problem:specification"])
    title: str
    status: int
    detail: str
    errors: tuple[FieldProblem, ...] = ()


# ---- searches ----


class SearchSummary(Answer):
    """A search in a list."""

    name: str
    state: SearchState
    message: str = Field(description="Why it failed, or what it waits for.")
    objectives: tuple[str, ...]
    budget: int
    n_finished: int = Field(description="Trials that are done, failed ones included.")
    spent_evaluations: float = Field(
        description="What they cost of the budget: 1 each, and more where gradients were asked for."
    )
    n_failed: int
    n_running: int
    n_workers: int = Field(description="Workers that it holds now.")
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None


class SearchList(Answer):
    """All searches, the newest first."""

    searches: tuple[SearchSummary, ...]


class SearchDetail(SearchSummary):
    """One search, with what it was asked to do."""

    specification: dict[str, Any]
    holdout_measures: tuple[str, ...] = Field(description="What is scored on held-out examples, without `@holdout`.")


# ---- trials ----


class Trial(Answer):
    """One finished candidate."""

    number: int
    state: Literal["complete", "failed"]
    landmark: str | None
    values: dict[str, float]
    standard_errors: dict[str, float | None]
    make_s: float
    score_s: float
    share: float = Field(description="Of the examples, how many were scored; below 1 where racing stopped it.")
    cost: float = Field(default=1.0, description="In evaluations; above 1 where gradients were asked for.")
    failure: str | None
    gradient_failure: str | None = Field(
        default=None, description="Why it has no gradients although they were asked for; its values are valid."
    )
    params: dict[str, float] | None = Field(default=None, description="Given with `params=true`.")


class TrialsPage(Answer):
    """Some of the finished trials, by number."""

    trials: tuple[Trial, ...]
    total: int
    offset: int
    next_offset: int | None


class MeasureScore(Answer):
    """One measure of one candidate."""

    value: float
    standard_error: float | None
    n: int


class Coefficients(Answer):
    """A trial's recipe as a table: every parameter of every model and group, fixed ones included."""

    models: tuple[str, ...] = Field(description="Those with parameters; `*` stands for what all models share.")
    groups: tuple[str, ...]
    values: dict[str, tuple[tuple[float | None, ...], ...]] = Field(
        description="Parameter (`weight`, `density`, `t`, …) → `n_models x n_groups`; null where there is none."
    )


class TrialDetail(Trial):
    """One finished candidate with all its scores and coefficients."""

    scores: dict[str, MeasureScore] = Field(description="Measure → score; `NAME@holdout` on held-out examples.")
    coefficients: Coefficients


# ---- the front ----


class FrontTrial(Answer):
    """A candidate as the front shows it."""

    trial: int
    landmark: str | None
    values: dict[str, float]
    standard_errors: dict[str, float | None]
    holdout: dict[str, MeasureScore]


class Front(Answer):
    """The Pareto front of a search, running or finished.

    With `split=holdout` values are those on held-out examples, of the candidates that were scored there: the front of
    the search and the landmarks; `front` is then what is not dominated on held-out examples.
    """

    study: str
    split: Split
    objectives: tuple[str, ...]
    finished: int
    spent_evaluations: float
    failed: int
    raced: int
    saved_evaluations: float
    reference_point: tuple[float, ...]
    hypervolume: float | None
    selected: int | None = Field(description="By `where`, or the knee.")
    front: tuple[FrontTrial, ...]
    within_error: tuple[int, ...]
    landmarks: tuple[FrontTrial, ...]


class HypervolumeStep(Answer):
    """The hypervolume after so many trials, which cost so many evaluations."""

    n_finished: int
    spent_evaluations: float
    hypervolume: float


class HypervolumeHistory(Answer):
    """Where the hypervolume has grown; it stays as it is in between."""

    reference_point: tuple[float, ...]
    n_finished: int
    spent_evaluations: float
    steps: tuple[HypervolumeStep, ...]


class Points(Answer):
    """Finished candidates in columns: what the page draws. `points` events carry these."""

    reset: bool = Field(description="Whether these are all, and what was sent before is void.")
    numbers: tuple[int, ...]
    values: dict[str, tuple[float | None, ...]] = Field(description="Objective → values; null after a failure.")
    standard_errors: dict[str, tuple[float | None, ...]]
    landmarks: tuple[str | None, ...]
    failures: tuple[str | None, ...]
    costs: tuple[float, ...] | None = Field(default=None, description="In evaluations; null where each cost 1.")


# ---- exports and completions ----


class ExportRequested(Request):
    """Which merge to export, and where to; without a trial and constraints the knee of the front."""

    trial: int | None = Field(default=None, ge=0, le=2**31 - 1)
    where: tuple[str, ...] = Field(strict=False, default=(), max_length=16, examples=[["alignment>=0.9"]])
    to: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="The new folder below the root of exports; NAME-trial-NUMBER if left out.",
    )
    max_shard_size: str = Field(default="5GB", max_length=20)


class Export(Answer):
    """An export: under way, whole, or failed."""

    id: uuid.UUID
    search: str
    trial: int
    state: JobState
    stage: str
    message: str
    folder: str
    scores: dict[str, float] | None
    largest_difference: float | None = Field(description="Between the trial's values and the reloaded model's.")
    created_at: datetime
    ended_at: datetime | None


class ExportList(Answer):
    """The exports of a search, the newest first."""

    exports: tuple[Export, ...]


class CompletionsRequested(Request):
    """Prompts for a trial's merge, the base and every expert."""

    trial: int = Field(ge=0, le=2**31 - 1)
    prompts: tuple[Annotated[str, Field(min_length=1, max_length=4000, pattern=_NO_NUL)], ...] = Field(
        strict=False, min_length=1, max_length=16, examples=[["how do i make zorb dust?"]]
    )


class Completions(Answer):
    """Answers side by side: under way, given, or failed."""

    id: uuid.UUID
    search: str
    trial: int
    state: JobState
    message: str
    prompts: tuple[str, ...]
    answers: dict[str, tuple[str, ...]] | None = Field(description="Model → its answers, in the order of the prompts.")


# ---- the form ----


class MethodChoice(Answer):
    """A merge method of the form."""

    name: str
    parameters: dict[str, tuple[float, float]] = Field(description="Parameter → default bounds.")


class ScorerChoice(Answer):
    """A scorer of the form."""

    name: str
    required_fields: tuple[str, ...]
    needs_set: bool


class Choices(Answer):
    """What a specification may say here: for the form."""

    methods: tuple[MethodChoice, ...]
    granularities: tuple[str, ...]
    scorers: tuple[ScorerChoice, ...]
    samplers: tuple[str, ...]
    models: tuple[str, ...] = Field(description="Folders of checkpoints below the roots.")
    sets: tuple[str, ...] = Field(description="JSONL files below the roots.")
    demo: dict[str, Any] = Field(description="A specification over the bundled family, ready to be launched.")


class TokenShown(Request):
    """The token, shown once to get a cookie."""

    token: str = Field(max_length=1000)


class Health(Answer):
    """Whether the service can work."""

    status: Literal["ok", "unavailable"]
    database: str
    supervisor: str
    cluster: dict[str, Any]
