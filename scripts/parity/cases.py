"""Which recipes are merged by both tools: a table of settings per method, in every place that rounds differently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from search_spaces import METHOD_SIGNATURES, MergeRecipe, MethodParameter, MethodSignature, group_parameters
from search_spaces.merge_recipe import BASE, weighed_models


@dataclass(frozen=True, slots=True)
class Place:
    """Where a setting is tried: over which checkpoints, into which dtype, cut how."""

    family: str
    dtype: str
    granularity: str


PLACES = (
    Place("llama-bfloat16", "bfloat16", "layer"),
    Place("llama-bfloat16", "float32", "tensor"),
    Place("llama-float32", "float16", "module"),
    Place("llama-float32", "float32", "layer"),
    Place("qwen2-bfloat16-near", "bfloat16", "model"),
    Place("qwen2-bfloat16-near", "float32", "blocks:2"),
    Place("qwen2-float32-near", "float32", "module"),
    Place("qwen2-float32-near", "float16", "tensor"),
)


GOLDEN_PLACES = (
    Place("golden-bfloat16", "bfloat16", "layer"),
    Place("golden-float32-near", "float32", "model"),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to fill a recipe's numbers.

    Args:
        words: what a person calls it.
        fixed: parameter → the value that every model and group has; the others differ from one to the next.
        normalize: as in a recipe; None where the method has no such choice.
        negative: some weights are below zero.
    """

    words: str
    fixed: tuple[tuple[str, float], ...] = ()
    normalize: bool | None = None
    negative: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """A setting of a method in a place."""

    method: str
    place: Place
    setting: Setting

    @property
    def words(self) -> str:
        """The case in one line, without its method."""
        return f"{self.place.family} → {self.place.dtype}, {self.place.granularity}, {self.setting.words}"


def settings_of(method: str) -> tuple[Setting, ...]:
    """What is tried of a method: its densities, with and without `normalize`, weights of both signs."""
    signature = METHOD_SIGNATURES[method]
    choices = (None,) if signature.normalize is None else (False, True)
    return tuple(
        setting
        for normalize in choices
        for setting in (*_densities(signature, normalize), *_signs(signature, normalize))
    )


def cases_of(method: str) -> Iterator[Case]:
    """Every setting of a method in every place."""
    return (Case(method, place, setting) for setting in settings_of(method) for place in PLACES)


def golden_cases_of(method: str) -> Iterator[Case]:
    """Those whose results are stored: two settings, the last with weights of both signs where there are any."""
    settings = settings_of(method)
    chosen = dict.fromkeys((settings[len(settings) // 2], settings[-1]))
    return (Case(method, place, setting) for setting in chosen for place in GOLDEN_PLACES)


def _densities(signature: MethodSignature, normalize: bool | None) -> Iterator[Setting]:
    named = "" if normalize is None else f"normalize {str(normalize).lower()}"
    if not any(parameter.name == "density" for parameter in signature.parameters):
        yield Setting(named or "plain", normalize=normalize)
        return
    # Masks that are drawn at random are compared in distribution; where nothing is dropped, exactly.
    for density in (1.0,) if signature.stochastic else (0.1, 0.5, 0.9, 1.0):
        yield Setting(f"{named}, density {density:g}".strip(", "), (("density", density),), normalize)


def _signs(signature: MethodSignature, normalize: bool | None) -> Iterator[Setting]:
    if any(parameter.name == "weight" and parameter.minimum < 0 for parameter in signature.parameters):
        named = "" if normalize is None else f"normalize {str(normalize).lower()}, "
        yield Setting(f"{named}weights of both signs", (("density", 1.0),), normalize, negative=True)


def recipe_of(case: Case, folders: Mapping[str, str], names: tuple[str, ...], seed: int = 0) -> MergeRecipe:
    """The recipe of a case.

    Args:
        case: what to merge how.
        folders: of the case's family: model name → folder, base first.
        names: of the base's tensors.
        seed: of stochastic methods.
    """
    signature = METHOD_SIGNATURES[case.method]
    experts = {name: folder for name, folder in folders.items() if name != BASE}
    if signature.n_models == 2:
        experts = dict(list(experts.items())[:1])
    groups = group_parameters(names, case.place.granularity)
    coefficients = {
        model: {
            group: {p.name: _number(p, case.setting, (i, j)) for p in signature.parameters}
            for j, group in enumerate(groups)
        }
        for i, model in enumerate(weighed_models(signature, tuple(experts)))
    }
    return MergeRecipe(
        method=case.method,
        base=folders[BASE],
        experts=experts,
        groups=groups,
        coefficients=coefficients,
        normalize=bool(case.setting.normalize),
        seed=seed,
        dtype=case.place.dtype,
    )


def _number(parameter: MethodParameter, setting: Setting, place: tuple[int, int]) -> float:
    """A number between where searches begin and end: another for each model and group, of few digits."""
    fixed = dict(setting.fixed)
    if parameter.name in fixed:
        return fixed[parameter.name]
    i, j = place
    share = 0.2 + 0.07 * ((7 * i + 3 * j) % 9)
    value = round(parameter.low + share * (parameter.high - parameter.low), 4)
    return -value if setting.negative and (i + j) % 3 == 1 else value
