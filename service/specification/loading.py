"""YAML in, a checked specification out; errors in the words of the file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from search_spaces.errors import SpecificationError
from search_spaces.merge_recipe import BASE
from service.specification.document import read_document
from service.specification.models_schema import MAPPING_TAG, TEXT_TAG, ModelsSection, model_key
from service.specification.schema import Specification

# What pydantic appends to a location: the three that bounds may be, and that a key itself is wrong.
_PAIR, _NUMBER, _SWITCH, _KEY = "tuple[float, float]", "float", "bool", "[key]"
# What it appends where a value may be one of several kinds.
_UNION = re.compile(rf"constrained-str|dict\[.*\]|tuple\[constrained-str.*\]|{TEXT_TAG}|{MAPPING_TAG}")
# Of the mistakes of one specification.
_MAX_TOLD = 20
# pydantic's kind of mistake (and two of our own) → what must hold.
_MUST = {
    "bounds": "be a finite number or a pair of them, [low, high]",
    "model": "be a folder, a hub id, or a mapping of `model`, `revision`, `adapter` and `adapter_revision`",
    "start": "be a mergekit file, or a mapping with `front_of`",
    "source": "be the folder of a model, or a mapping with `endpoint` and `model`",
    "string_type": "be text",
    "string_too_short": "be text",
    "string_pattern_mismatch": "be a name of letters, digits, `.`, `_` and `-`, 100 at most",
    "bool_type": "be true or false",
    "int_type": "be a whole number",
    "float_type": "be a number",
    "model_type": "be a mapping of keys",
    "dict_type": "be a mapping of keys",
    "tuple_type": "be a list",
    "too_short": "hold at least one entry",
    "too_long": "hold fewer entries: 500 `bounds`, 100 of anything else",
}


def load_specification(path: str | Path) -> Specification:
    """Read a specification; its paths become absolute, seen from the file's folder.

    Raises:
        SpecificationError: the file is missing, no YAML, or says something impossible.
    """
    path = Path(path)
    return parse_specification(read_specification(path), path.resolve().parent)


def read_specification(path: Path) -> str:
    """The text of a specification, as it stands.

    Raises:
        SpecificationError: the file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecificationError(
            f"A specification must be a readable YAML file, but '{path}' is not: {error}"
        ) from None


def parse_specification(text: str, folder: Path) -> Specification:
    """Check a specification's text.

    Args:
        text: YAML or JSON.
        folder: what its paths are relative to.

    Raises:
        SpecificationError: see `load_specification`.
    """
    return _with_absolute_paths(check_specification(text), folder)


def restore_specification(values: Mapping[str, Any]) -> Specification:
    """A specification as it was stored, with its absolute paths.

    Args:
        values: of `model_dump`. They are read as JSON: YAML would take 1e-05 for text.

    Raises:
        SpecificationError: an older version stored it, and it cannot be read any more.
    """
    # Its models are absolute paths or hub ids already: to look for a folder called like one would find another model.
    return _with_absolute_paths(check_specification(json.dumps(dict(values)), is_json=True), Path("/"), is_stored=True)


def check_specification(text: str, *, is_json: bool = False) -> Specification:
    """Check a specification's text, and leave its paths as they are.

    Args:
        text: YAML or JSON.
        is_json: JSON alone is taken.

    Raises:
        SpecificationError: see `load_specification`.
    """
    values = read_document(text, is_json=is_json)
    if not isinstance(values, dict):
        raise SpecificationError(f"A specification must be a mapping of keys, but is {type(values).__name__}.")
    try:
        # By way of JSON, in which a list may stand for a pair while "1" still is no number.
        specification = Specification.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise SpecificationError("\n".join(_first(_told(error)))) from None
    except (TypeError, ValueError) as error:  # a date as a key
        raise SpecificationError(f"A specification must hold what JSON can say, but: {error}.") from None
    _check_finite(specification.model_dump())
    return specification


def _check_finite(value: Any, path: str = "") -> None:
    """Sections check their own numbers; this finds those in options, which no database can hold as JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        raise SpecificationError(f"`{path}` must be a finite number, but got {value}.")
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, each in inner:
        _check_finite(each, f"{path}.{key}" if path else str(key))


def _with_absolute_paths(specification: Specification, folder: Path, *, is_stored: bool = False) -> Specification:
    values = specification.model_dump(mode="json")
    if not is_stored:
        values["models"] |= _absolute_models(specification.models, folder)
    for section in ("objectives", "report"):
        for name, measure in values[section].items():
            if measure["set"] is not None:
                measure["set"] = str(folder / measure["set"])
            measure["options"] = _absolute_options(measure, folder, f"{section}.{name}.options")
    start = values["search"]["start"]
    values["search"]["start"] = [str(folder / entry) if isinstance(entry, str) else entry for entry in start]
    if values["synthesis"] is not None:
        _make_absolute(values["synthesis"], folder, values["name"])
    return Specification.model_validate_json(json.dumps(values))


def _absolute_models(models: ModelsSection, folder: Path) -> dict[str, Any]:
    from workers.checkpoints.model_files import seen_from

    found = {}
    for name, notation in models.notations.items():
        try:
            found[name] = seen_from(notation, folder)
        except SpecificationError as error:
            raise SpecificationError(f"`{model_key(name)}`: {error}") from None
    return {BASE: found.pop(BASE), "experts": found}


def _absolute_options(measure: dict[str, Any], folder: Path, key: str) -> dict[str, Any]:
    from workers.scorers import SCORERS, read_options

    scorer = SCORERS.get(measure["scorer"])
    if scorer is None:
        return dict(measure["options"])  # refused with the scorer's name, where the names are known
    return asdict(read_options(scorer, measure["options"], key).seen_from(folder))


def _make_absolute(synthesis: dict[str, Any], folder: Path, name: str) -> None:
    from workers.guards import GUARDS

    synthesis["to"] = str(folder / (synthesis["to"] or f"{name}-sets"))
    synthesis["generator"] = _absolute_source(synthesis["generator"], folder)
    if isinstance(synthesis["guard"], dict):
        guard = synthesis["guard"]
        synthesis["guard"] = {key: _absolute_source(v, folder) if key in GUARDS else v for key, v in guard.items()}
    for expert in (synthesis["domain"] or {}).get("experts", {}).values():
        expert["examples"] = _absolute_source(expert["examples"], folder)


def _absolute_source(given: Any, folder: Path) -> Any:
    """A path where it is a text; an endpoint or a list stays as it is."""
    return str(folder / given) if isinstance(given, str) else given


def _told(error: ValidationError) -> Iterator[str]:
    """One line per mistake; of the kinds that a value may be, one speaks for all."""
    told = set()
    for entry in error.errors(include_url=False):
        path, kind = _place(entry["loc"], entry["type"])
        is_switch = entry["loc"][-1:] == (_SWITCH,) and entry["type"] == "bool_type"
        if _PAIR not in entry["loc"] and not is_switch and path not in told:
            told.add(path)
            yield _line(path, kind, entry["msg"], entry["input"])


def _first(mistakes: Iterator[str]) -> Iterator[str]:
    """As many as a person reads; thousands take long to tell."""
    yield from islice(mistakes, _MAX_TOLD)
    if next(mistakes, None) is not None:
        yield "There are more; mend these first."


def _place(location: tuple[int | str, ...], kind: str) -> tuple[str, str]:
    """The key's path, without what pydantic appends of its own, and the kind of mistake."""
    keys = [key for key in map(str, location) if not _UNION.fullmatch(key)] or [""]
    if keys[-1] == _NUMBER and kind in ("float_type", "finite_number"):
        return ".".join(keys[:-1]), "bounds"
    if kind == "string_type" and keys[0] == "models":
        kind = "model"
    if kind == "string_type" and keys[:2] == ["search", "start"] and len(keys) == 3:
        kind = "start"
    if keys == ["synthesis", "generator"] and kind != "missing":
        kind = "source"
    return ".".join(keys[:-1] if keys[-1] == _KEY else keys), kind


def _line(path: str, kind: str, message: str, given: Any) -> str:
    if kind == "extra_forbidden":
        return _unknown_key(path)
    if kind == "missing":
        return f"`{path}` must be given, but is missing."
    if kind == "value_error":
        return f"{f'`{path}`: ' if path else ''}{message.removeprefix('Value error, ')}."
    shown = json.dumps(given, default=str)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    must = _MUST.get(kind) or message.removeprefix("Input should ")
    return f"`{path}` must {must}, but got {shown}."


def _unknown_key(path: str) -> str:
    *parents, key = path.split(".")
    known = _keys_at(Specification, parents)
    close = get_close_matches(key, known, n=1)
    hint = f" Did you mean `{close[0]}`?" if close else ""
    return f"`{path}` is not a key of a specification; known there: {', '.join(known)}.{hint}"


def _keys_at(model: type[BaseModel], parents: list[str]) -> list[str]:
    """The keys that a section knows; passes through names and list positions."""
    if not parents:
        return sorted(field.alias or name for name, field in model.model_fields.items())
    field = model.model_fields.get(parents[0])
    section = _section_in(field.annotation) if field else None
    if section is None:
        return []
    inner = parents[1:]
    while inner and inner[0] not in section.model_fields:
        inner = inner[1:]
    return _keys_at(section, inner)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    candidates = (_section_in(part) for part in getattr(annotation, "__args__", ()))
    return next((found for found in candidates if found), None)
