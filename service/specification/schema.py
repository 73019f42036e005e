"""What a specification may say: its sections, keys and types; unknown keys are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from search_spaces.merge_recipe import BASE

# Names become parts of parameter names, file names and table headings.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Text = Annotated[str, StringConstraints(min_length=1)]
# A pair of bounds, or one number that fixes the value.
Bounds = tuple[float, float] | float


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ModelsSection(_Section):
    """Which models are merged: folders of Hugging Face checkpoints in safetensors."""

    base: Text
    experts: dict[Name, Text] = Field(min_length=1)

    @field_validator("experts")
    @classmethod
    def _base_is_reserved(cls, experts: dict[str, str]) -> dict[str, str]:
        if BASE in experts:
            raise ValueError(f"no expert may be called '{BASE}': that is the base model's name")
        return experts


class BoundsSection(_Section):
    """Bounds for one expert, for the groups that a pattern matches, or for both."""

    expert: Name | None = None
    filter: Text | None = None
    weight: Bounds | None = None
    density: Bounds | None = None
    t: Bounds | None = None


class SpaceSection(_Section):
    """What is searched: the method, how finely, and between which bounds."""

    method: Text = "task_arithmetic"
    granularity: Text = "layer"
    weight: Bounds | None = None
    density: Bounds | None = None
    t: Bounds | None = None
    normalize: bool | None = None
    bounds: tuple[BoundsSection, ...] = ()


class MeasureSection(_Section):
    """A scorer over a set; one that brings its own examples needs none."""

    set: Text | None = None
    scorer: Text
    options: dict[str, Any] = Field(default_factory=dict)


class SearchSection(_Section):
    """How long and by what means."""

    sampler: Text = "auto"
    evaluations: int = Field(default=100, ge=1)
    seed: int = Field(default=0, ge=0)
    landmarks: bool = True


class WorkersSection(_Section):
    """Where candidates are made and scored."""

    engine: Literal["transformers"] = "transformers"
    pool: Literal["ray", "in_process"] = "ray"
    count: int = Field(default=1, ge=1)
    address: Text = "local"
    cpus_per_worker: float = Field(default=1, gt=0)
    gpus_per_worker: float = Field(default=0, ge=0)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    timeout_s: float | None = Field(default=None, gt=0)
    max_batch_tokens: int = Field(default=4096, ge=1)


class Specification(_Section):
    """A search, as a person writes it down. Paths are relative to the file."""

    name: Name
    models: ModelsSection
    space: SpaceSection = SpaceSection()
    objectives: dict[Name, MeasureSection] = Field(min_length=1)
    report: dict[Name, MeasureSection] = Field(default_factory=dict)
    search: SearchSection = SearchSection()
    workers: WorkersSection = WorkersSection()

    @field_validator("report")
    @classmethod
    def _names_differ(cls, report: dict[str, MeasureSection], info: object) -> dict[str, MeasureSection]:
        objectives = getattr(info, "data", {}).get("objectives", {})
        both = sorted(objectives.keys() & report.keys())
        if both:
            raise ValueError(f"a measure is either an objective or a report, but '{both[0]}' is both")
        return report
