"""A client's specification, confined: every path below the roots, every endpoint known, nothing that runs code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from search_spaces.errors import AccessError, SpecificationError
from search_spaces.merge_recipe import BASE
from search_spaces.model_reference import ModelReference, is_hub_id
from service.access.roots import Roots
from service.specification import Specification
from service.specification.models_schema import model_key
from workers.guards import guard_from
from workers.inference_engines import ModelSource
from workers.scorers import SCORERS, ScorerOptions, read_options

# Of environment variables that a client may let the service send to an endpoint.
_KEY_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,90}_API_KEY")
# What a client's endpoint may cost: threads at a time, and how long one request may hold a worker.
_MAX_PARALLEL, _MAX_TIMEOUT_S, _MAX_RETRIES = 64, 3600.0, 20


@dataclass(frozen=True, slots=True)
class Reach:
    """What clients may name.

    Args:
        roots: of files.
        endpoints: URLs of OpenAI-compatible servers.
        hub_models: whether models may be fetched from the hub by their ids.
    """

    roots: Roots
    endpoints: tuple[str, ...] = ()
    hub_models: bool = False


def confine(specification: Specification, reach: Reach) -> Specification:
    """The same with absolute paths, all of them within reach.

    Args:
        specification: with the client's own paths.
        reach: what it may name.

    Raises:
        AccessError: it names something out of reach.
        SpecificationError: it asks for what the service does not do, or something is not there.
    """
    _check_sections(specification)
    values = specification.model_dump(mode="json")
    roots, given = reach.roots, specification.models
    models = {name: _confined_model(given.notation(name), model_key(name), reach) for name in given.given}
    values["models"] |= {BASE: models.pop(BASE), "experts": models}
    for section in ("objectives", "report"):
        for name, measure in values[section].items():
            key = f"{section}.{name}"
            if measure["set"] is not None:
                measure["set"] = roots.set(measure["set"], f"{key}.set")
            measure["options"] = _confined_options(measure, f"{key}.options", reach)
    start = values["search"]["start"]
    # A front is named by its search, and all searches of the service are for all its clients.
    values["search"]["start"] = [
        roots.recipe(entry, f"search.start.{i}") if isinstance(entry, str) else entry for i, entry in enumerate(start)
    ]
    return Specification.model_validate_json(json.dumps(values))


def _confined_model(notation: str, key: str, reach: Reach) -> str:
    """Every part of a model's notation within reach, folders by their absolute paths."""
    if reach.roots.has_folder(notation, key):
        return reach.roots.model(notation, key)
    reference = ModelReference.parse(notation)
    model = _confined_part(reference.model, reference.revision, key, reach)
    if reference.adapter is None:
        return replace(reference, model=model).notation
    adapter = _confined_part(reference.adapter, reference.adapter_revision, f"{key}.adapter", reach)
    return replace(reference, model=model, adapter=adapter).notation


def _confined_part(name: str, revision: str | None, key: str, reach: Reach) -> str:
    """A folder below the roots, or a hub id where no folder is called so and the hub is within reach."""
    if not is_hub_id(name) or (revision is None and reach.roots.has_folder(name, key)):
        return reach.roots.model(name, key)
    if not reach.hub_models:
        raise AccessError(
            f"`{key}` must be the folder of a model below a root of the service, but '{name}' is none there, and ids "
            "of the hub are taken by a service that was started with `--hub-models` only. `GET /v1/choices` lists what "
            "can be named."
        )
    return name


def _check_sections(specification: Specification) -> None:
    if specification.synthesis is not None:
        raise SpecificationError(
            "`synthesis` must be left out, for the service makes no sets. Run `paretomerge synthesize` with this "
            "specification, put its sets below a root of the service, and name them under `objectives`."
        )
    workers = specification.workers
    if workers.pool != "ray":
        raise SpecificationError(
            f"`workers.pool` must be ray or left out, for the service's own cluster runs the workers, but got "
            f"'{workers.pool}'."
        )
    if workers.address != "local":
        raise SpecificationError(
            "`workers.address` must be left out, for the service's own cluster runs the workers. "
            "Another cluster needs a service of its own."
        )


def _confined_options(measure: Mapping[str, Any], key: str, reach: Reach) -> dict[str, Any]:
    scorer = SCORERS.get(measure["scorer"])
    if scorer is None:
        return dict(measure["options"])  # refused with the scorer's name, where the names are known
    options = asdict(read_options(scorer, measure["options"], key))
    if scorer.name in _CONFINED:
        return _CONFINED[scorer.name](options, key, reach)
    if scorer.options_type.seen_from is not ScorerOptions.seen_from:
        raise AccessError(f"`{key}` holds paths that the service cannot confine: it does not run '{scorer.name}'.")
    return options


def _with_guard(options: dict[str, Any], key: str, reach: Reach) -> dict[str, Any]:
    guard = guard_from(options["guard"], f"{key}.guard")
    if guard.source is None:
        return options
    source = _confined_source(guard.source, f"{key}.guard.{guard.name}", reach)
    words: Any = guard.words
    return options | {"guard": words | {guard.name: source}}


def _with_classifier(options: dict[str, Any], key: str, reach: Reach) -> dict[str, Any]:
    return options | {"model": reach.roots.model(options["model"], f"{key}.model")}


def _with_judge(options: dict[str, Any], key: str, reach: Reach) -> dict[str, Any]:
    if options["cache"]:
        raise AccessError(f"`{key}.cache` must be left out: the service keeps replies where it keeps all of them.")
    source = ModelSource.of(options["judge"], f"{key}.judge")
    return options | {"judge": _confined_source(source, f"{key}.judge", reach)}


def _with_tasks(options: dict[str, Any], key: str, reach: Reach) -> dict[str, Any]:
    if options["include_path"]:
        raise AccessError(
            f"`{key}.include_path` must be left out: tasks of one's own may run Python, which the service does not do "
            "for its clients. Use `paretomerge search`, or `paretomerge evaluate` on the merge."
        )
    return options


# Scorers whose options name files, endpoints or code.
_CONFINED: Mapping[str, Callable[[dict[str, Any], str, Reach], dict[str, Any]]] = {
    "classifier": _with_classifier,
    "compliance": _with_guard,
    "guard": _with_guard,
    "llm_judge": _with_judge,
    "lm_eval": _with_tasks,
}


def _confined_source(source: ModelSource, key: str, reach: Reach) -> str | dict[str, Any]:
    if not source.endpoint:
        return reach.roots.model(source.model, key)
    known = [endpoint.rstrip("/") for endpoint in reach.endpoints]
    if source.endpoint.rstrip("/") not in known:
        raise AccessError(
            f"`{key}.endpoint` must be one that the service was given by `--endpoint`, which are "
            f"{', '.join(known) or 'none'}, but got '{source.endpoint}'."
        )
    if not _KEY_VARIABLE.fullmatch(source.api_key_env):
        raise AccessError(
            f"`{key}.api_key_env` must be the name of an environment variable that ends in `_API_KEY`, but got "
            f"'{source.api_key_env}'."
        )
    most = {"n_parallel": _MAX_PARALLEL, "timeout_s": _MAX_TIMEOUT_S, "max_retries": _MAX_RETRIES}
    for name, maximum in most.items():
        if getattr(source, name) > maximum:
            raise SpecificationError(f"`{key}.{name}` must be at most {maximum:g}, but got {getattr(source, name)}.")
    return asdict(source)
