"""Which recipes are merged by both tools: a table of settings per method, in every place that rounds differently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from search_spaces import METHOD_SIGNATURES, MergeRecipe, group_parameters
from search_spaces.merge_recipe import BASE, owners
from search_spaces.method_signature import MethodParameter


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
        fixed: parameter and the value that every model and group has of it. Others that are searched by default
            differ from one to the next, the rest has its default.
        normalize: as in a recipe; None where the method has no such choice.
        task_vectors: as in a recipe.
        negative: some weights are below zero.
        n_experts: how many of the family's three take part; None for as many as the method takes.
    """

    words: str = "plain"
    fixed: tuple[tuple[str, float], ...] = ()
    normalize: bool | None = None
    task_vectors: bool = True
    negative: bool = False
    n_experts: int | None = None


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


def _fixed(**values: float) -> Setting:
    told = {"lambda_": "lambda"}
    pairs = tuple((told.get(name, name), value) for name, value in values.items())
    return Setting(", ".join(f"{name} {value:g}" for name, value in pairs), pairs)


_SIGNS = replace(_fixed(density=1), words="weights of both signs", negative=True)
# With a density of 1 nothing is random, or trimmed.
_WHOLE = (_fixed(density=1), _SIGNS, _fixed(density=1, lambda_=0.7))
_TRIMMED = (
    _fixed(density=0.1),
    _fixed(density=0.5),
    _fixed(density=0.9),
    *_WHOLE,
    replace(_fixed(density=0.3, rescale=1), negative=True),
)
_OUTLIERS = (*_TRIMMED, _fixed(density=0.5, gamma=0.1), _fixed(density=0.95, gamma=0.2))

# What is tried beside the numbers that searches vary. Where there is a choice to normalise, both are tried of each.
_SETTINGS: Mapping[str, tuple[Setting, ...]] = {
    "slerp": (Setting("base and expert", n_experts=1), Setting("two experts", n_experts=2)),
    "task_arithmetic": _WHOLE,
    "ties": _TRIMMED,
    "dare_linear": _WHOLE,
    "dare_ties": _WHOLE,
    "della": _WHOLE,
    "della_linear": _WHOLE,
    "breadcrumbs": _OUTLIERS,
    "breadcrumbs_ties": _OUTLIERS,
    "model_stock": (
        _fixed(filter_wise=0),
        _fixed(filter_wise=1),
        replace(_fixed(filter_wise=0), words="two experts", n_experts=2),
    ),
    "nuslerp": (
        Setting("whole task vectors"),
        replace(_fixed(nuslerp_flatten=0), words="rows of task vectors"),
        replace(_fixed(nuslerp_flatten=0, nuslerp_row_wise=1), words="columns of task vectors"),
        Setting("whole models", task_vectors=False),
        replace(_fixed(nuslerp_flatten=0), words="rows of models", task_vectors=False),
        replace(_fixed(nuslerp_flatten=0, nuslerp_row_wise=1), words="columns of models", task_vectors=False),
    ),
    "multislerp": (
        Setting("task vectors"),
        Setting("two task vectors", n_experts=2),
        Setting("one task vector", n_experts=1),
        Setting("models", task_vectors=False),
    ),
    "karcher": (Setting("three models"), Setting("two models", n_experts=2), _fixed(max_iter=1), _fixed(tol=0.01)),
    "sce": (_fixed(select_topk=0.1), _fixed(select_topk=0.5), _fixed(select_topk=1)),
    "arcee_fusion": (Setting("base and expert", n_experts=1), Setting("two experts", n_experts=2)),
    "nearswap": (Setting("base and expert", n_experts=1), Setting("two experts", n_experts=2)),
    "ram": (_fixed(epsilon=1e-5), _fixed(epsilon=0.01)),
    "ramplus_tl": (Setting(), _fixed(r=0.1, alpha=0.2), _fixed(r=0.5, alpha=0.9, epsilon=0.01)),
}


def settings_of(method: str) -> tuple[Setting, ...]:
    """What is tried of a method; one that the table lacks is tried with the numbers of a search alone."""
    settings = _SETTINGS.get(method, (Setting(),))
    if METHOD_SIGNATURES[method].normalize is None:
        return settings
    return tuple(
        replace(setting, normalize=normalize, words=f"{setting.words}, normalize {str(normalize).lower()}")
        for setting in settings
        for normalize in (False, True)
    )


def cases_of(method: str) -> Iterator[Case]:
    """Every setting of a method in every place."""
    return (Case(method, place, setting) for setting in settings_of(method) for place in PLACES)


def golden_cases_of(method: str) -> Iterator[Case]:
    """Those whose results are stored: two settings in two places."""
    settings = settings_of(method)
    chosen = dict.fromkeys((settings[0], settings[len(settings) // 2]))
    return (Case(method, place, setting) for setting in chosen for place in GOLDEN_PLACES)


def recipe_of(case: Case, folders: Mapping[str, str], names: tuple[str, ...], seed: int = 0) -> MergeRecipe:
    """The recipe of a case.

    Args:
        case: what to merge how.
        folders: of the case's family: model name → folder, base first.
        names: of the base's tensors.
        seed: of stochastic methods.
    """
    signature, setting = METHOD_SIGNATURES[case.method], case.setting
    most = len(folders) - 1 if signature.max_experts is None else signature.max_experts
    experts = dict(list(folders.items())[1 : 1 + (setting.n_experts or most)])
    groups = group_parameters(names, case.place.granularity)
    coefficients = {
        owner: {
            group: {p.name: _number(p, setting, (i, j)) for p in signature.parameters_of(owner)}
            for j, group in enumerate(groups)
        }
        for i, owner in enumerate(owners(signature, tuple(experts)))
    }
    return MergeRecipe(
        method=case.method,
        base=folders[BASE],
        experts=experts,
        groups=groups,
        coefficients=coefficients,
        normalize=bool(setting.normalize),
        task_vectors=setting.task_vectors,
        seed=seed,
        dtype=case.place.dtype,
    )


def _number(parameter: MethodParameter, setting: Setting, place: tuple[int, int]) -> float:
    """Between where searches begin and end, another for each model and group, of few digits."""
    fixed = dict(setting.fixed)
    if parameter.name in fixed:
        return fixed[parameter.name]
    if parameter.default is not None and (parameter.is_whole or not parameter.searched):
        return parameter.default
    i, j = place
    share = 0.2 + 0.07 * ((7 * i + 3 * j) % 9)
    value = round(parameter.low + share * (parameter.high - parameter.low), 6)
    return -value if setting.negative and parameter.name == "weight" and (i + j) % 3 == 1 else value
