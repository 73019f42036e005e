"""What a specification may say: its sections, keys and types; unknown keys are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from service.specification.models_schema import MAPPING_TAG, TEXT_TAG, ModelsSection
from service.specification.section import Name, Section, Text
from service.specification.synthesis_schema import SynthesisSection

# Far above what anybody has; a slip of the keyboard shall not fill a disk or take a day to be checked.
_MAX_ENTRIES, _MAX_RULES, _MAX_WORKERS, _MAX_EVALUATIONS = 100, 500, 10_000, 1_000_000
# Of what databases and generators of random numbers take.
_MAX_SEED = 2**63 - 1

# A pair of bounds, or one number that fixes the value; of a switch, true or false does.
Bounds = tuple[float, float] | float
SwitchBounds = Bounds | bool


class ParameterBounds(Section):
    """Bounds by parameter: all that some merge method takes. Which ones a method takes, its signature says."""

    model_config = ConfigDict(serialize_by_alias=True)

    weight: Bounds | None = None
    density: Bounds | None = None
    gamma: Bounds | None = None
    epsilon: Bounds | None = None
    t: Bounds | None = None
    scale: Bounds | None = None
    lambda_: Bounds | None = Field(default=None, alias="lambda")
    rescale: SwitchBounds | None = None
    filter_wise: SwitchBounds | None = None
    nuslerp_flatten: SwitchBounds | None = None
    nuslerp_row_wise: SwitchBounds | None = None
    max_iter: Bounds | None = None
    tol: Bounds | None = None
    select_topk: Bounds | None = None
    r: Bounds | None = None
    alpha: Bounds | None = None

    @property
    def bounds_given(self) -> dict[str, tuple[float, float]]:
        """Parameter → (low, high), of those that are given."""
        given = {field.alias or name: getattr(self, name) for name, field in ParameterBounds.model_fields.items()}
        return {
            name: (float(value[0]), float(value[1])) if isinstance(value, tuple) else (float(value), float(value))
            for name, value in given.items()
            if value is not None
        }


class BoundsSection(ParameterBounds):
    """Bounds for one expert, for the groups that a pattern matches, or for both."""

    expert: Name | None = None
    filter: Text | None = None


class SpaceSection(ParameterBounds):
    """What is searched: the method, how finely, and between which bounds."""

    method: Text = "task_arithmetic"
    granularity: Text = "layer"
    normalize: bool | None = None
    task_vectors: bool = True
    bounds: tuple[BoundsSection, ...] = Field(default=(), max_length=_MAX_RULES)


class MeasureSection(Section):
    """A scorer over a set; one that brings its own examples needs none."""

    set: Text | None = None
    scorer: Text
    options: dict[str, Any] = Field(default_factory=dict)


class FrontSection(Section):
    """The front of an earlier search, to start from."""

    front_of: Name


def _form(value: Any) -> str:
    return MAPPING_TAG if isinstance(value, dict | FrontSection) else TEXT_TAG


# A mergekit file, or a front.
StartEntry = Annotated[Annotated[Text, Tag(TEXT_TAG)] | Annotated[FrontSection, Tag(MAPPING_TAG)], Discriminator(_form)]


class SearchSection(Section):
    """How long and by what means."""

    sampler: Text = "auto"
    evaluations: int = Field(default=100, ge=1, le=_MAX_EVALUATIONS)
    seed: int = Field(default=0, ge=0, le=_MAX_SEED)
    landmarks: bool = True
    start: tuple[StartEntry, ...] = Field(default=(), max_length=_MAX_ENTRIES)
    racing: bool = False
    gradient_share: float = Field(default=1.0, gt=0, le=1)

    @property
    def fronts(self) -> tuple[str, ...]:
        """The names of the searches from whose fronts this one starts."""
        return tuple(entry.front_of for entry in self.start if isinstance(entry, FrontSection))


class WorkersSection(Section):
    """Where candidates are made and scored."""

    engine: Literal["transformers", "vllm"] = "transformers"
    pool: Literal["ray", "in_process"] = "ray"
    count: int = Field(default=1, ge=1, le=_MAX_WORKERS)
    min_count: int | None = Field(default=None, ge=1)
    address: Text = "local"
    cpus_per_worker: float = Field(default=1, gt=0)
    gpus_per_worker: float = Field(default=0, ge=0)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    timeout_s: float | None = Field(default=None, gt=0)
    max_batch_tokens: int = Field(default=4096, ge=1)
    tensor_parallel: int = Field(default=1, ge=1, validate_default=True)
    cache_gib: float = Field(default=4, ge=0)
    checkpoint_activations: bool = False

    @field_validator("min_count")
    @classmethod
    def _is_no_more_than_all(cls, min_count: int | None, info: ValidationInfo) -> int | None:
        count = info.data.get("count")
        if min_count is not None and count is not None and min_count > count:
            raise ValueError(f"it must be at most `count`, but got {min_count} of {count}")
        return min_count

    @field_validator("tensor_parallel")
    @classmethod
    def _fits_the_engine(cls, tensor_parallel: int, info: ValidationInfo) -> int:
        engine, n_gpus = info.data.get("engine"), info.data.get("gpus_per_worker")
        if engine == "transformers" and tensor_parallel > 1:
            raise ValueError(f"only the engine 'vllm' splits a model, but got {tensor_parallel} with 'transformers'")
        if engine == "vllm" and n_gpus and n_gpus != tensor_parallel:
            raise ValueError(
                "vLLM takes one GPU for each part of a model: it must be `gpus_per_worker`, "
                f"but got {tensor_parallel} and {n_gpus:g}"
            )
        return tensor_parallel


class Specification(Section):
    """A search, as a person writes it down. Paths are relative to the file."""

    name: Name
    models: ModelsSection
    space: SpaceSection = SpaceSection()
    objectives: dict[Name, MeasureSection] = Field(default_factory=dict, max_length=_MAX_ENTRIES)
    report: dict[Name, MeasureSection] = Field(default_factory=dict, max_length=_MAX_ENTRIES)
    search: SearchSection = SearchSection()
    workers: WorkersSection = WorkersSection()
    synthesis: SynthesisSection | None = None

    @model_validator(mode="after")
    def _asks_for_something(self) -> Specification:
        if not self.objectives and self.synthesis is None:
            given = (
                "hold at least one entry, but got {}"
                if "objectives" in self.model_fields_set
                else "be given, but is missing"
            )
            raise ValueError(f"`objectives` must {given}")
        return self

    @field_validator("report")
    @classmethod
    def _names_differ(cls, report: dict[str, MeasureSection], info: object) -> dict[str, MeasureSection]:
        objectives = getattr(info, "data", {}).get("objectives", {})
        both = sorted(objectives.keys() & report.keys())
        if both:
            raise ValueError(f"a measure is either an objective or a report, but '{both[0]}' is both")
        return report
