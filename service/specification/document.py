"""YAML or JSON as plain values, within bounds that no honest specification reaches."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from search_spaces.errors import SpecificationError

# libyaml's parser where PyYAML was built with it: ten times as fast.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Real ones have a few thousand characters, two hundred values, and go five deep.
MAX_CHARACTERS = 1_000_000
MAX_VALUES = 50_000
MAX_DEPTH = 32

_TEXT_TAG = "tag:yaml.org,2002:str"
# What neither a path nor a database takes: NUL, and halves of surrogate pairs.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def read_document(text: str, *, is_json: bool = False) -> Any:
    """Parse a text.

    Args:
        text: YAML, or the JSON that YAML can read.
        is_json: read all of JSON, and nothing else.

    Raises:
        SpecificationError: it is neither, too large, gives a key twice, or holds what cannot be stored.
    """
    if len(text) > MAX_CHARACTERS:
        raise SpecificationError(
            f"A specification must have at most {MAX_CHARACTERS:,} characters, but has {len(text):,}."
        )
    values = _read_json(text) if is_json else _read_yaml(text)
    _check_values(values)
    return values


def _read_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except SpecificationError:
        raise
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        raise SpecificationError(f"A specification must be JSON, but this cannot be parsed: {error}.") from None
    except ValueError:  # Python's own limit
        raise SpecificationError("A specification must hold numbers of at most 4,300 digits.") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise SpecificationError(f"`{key}` is given twice: leave one out.")
        values[key] = value
    return values


def _refuse_constant(name: str) -> Any:
    raise SpecificationError(f"A specification must hold finite numbers, but got {name}.")


def _read_yaml(text: str) -> Any:
    try:
        # By events, which need no recursion: a text of brackets alone, or of anchors, would else be expanded first.
        _check_events(yaml.parse(text, Loader=_Loader))
        _check_keys(yaml.compose(text, Loader=_Loader))
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise SpecificationError(f"A specification must be YAML, but this cannot be parsed: {_where(error)}") from None
    except SpecificationError:
        raise
    except (ValueError, OverflowError) as error:  # a date of a 13th month, a number of 5,000 digits
        raise SpecificationError(f"A specification must hold numbers and dates that can be, but: {error}.") from None


def _check_events(events: Iterable[Any]) -> None:
    """Count what a document holds once its anchors are followed."""
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []  # anchor, and values before it
    n_values = 0
    for event in events:
        _check_tag(event)
        if isinstance(event, yaml.AliasEvent):
            n_values += _size_of(event, sizes)
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, n_values))
            n_values += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            sizes |= {anchor: n_values - before} if anchor else {}
        elif isinstance(event, yaml.ScalarEvent):
            n_values += 1
            sizes |= {event.anchor: 1} if event.anchor else {}
        if len(opened) > MAX_DEPTH:
            raise _too_deep()
        if n_values > MAX_VALUES:
            raise _too_many()


def _check_tag(event: Any) -> None:
    tag = getattr(event, "tag", None)
    if tag not in (None, "!", _TEXT_TAG):
        line = event.start_mark.line + 1
        raise SpecificationError(f"A specification must do without tags, but line {line} has '{tag}'. Leave it out.")


def _size_of(event: Any, sizes: dict[str, int]) -> int:
    if event.anchor not in sizes:
        line = event.start_mark.line + 1
        raise SpecificationError(
            f"`*{event.anchor}` must name an anchor that was given and closed before, but in line {line} it does not."
        )
    return sizes[event.anchor]


def _check_keys(document: Any) -> None:
    for path, key in _keys_twice(document, ""):
        raise SpecificationError(f"`{path}` is given twice, in line {key.start_mark.line + 1} again: leave one out.")


def _keys_twice(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The paths of keys that their mapping has already, in order."""
    if isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            yield from _keys_twice(item, f"{path}{position}.")
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            place = f"{path}{key.value}" if isinstance(key, yaml.ScalarNode) else path
            if place in seen:
                yield place, key
            seen.add(place)
            yield from _keys_twice(value, f"{place}.")


def _check_values(root: Any) -> None:
    n_values = 0
    waiting = [(root, 0)]
    while waiting:
        value, depth = waiting.pop()
        n_values += 1
        if n_values > MAX_VALUES:
            raise _too_many()
        if depth > MAX_DEPTH:
            raise _too_deep()
        if isinstance(value, str) and (found := _UNSTORABLE.search(value)):
            raise SpecificationError(f"A specification must hold plain text, but holds the character {found[0]!r}.")
        if isinstance(value, dict):
            waiting += [(each, depth + 1) for pair in value.items() for each in pair]
        elif isinstance(value, list):
            waiting += [(each, depth + 1) for each in value]


def _too_deep() -> SpecificationError:
    return SpecificationError(f"A specification must go at most {MAX_DEPTH} levels deep, but this goes deeper.")


def _too_many() -> SpecificationError:
    return SpecificationError(
        f"A specification must hold at most {MAX_VALUES:,} values, anchors followed, but this holds more."
    )


def _where(error: yaml.YAMLError) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return str(error).splitlines()[0]
    mark = error.problem_mark
    return f"{error.problem} in line {mark.line + 1}, column {mark.column + 1}."
