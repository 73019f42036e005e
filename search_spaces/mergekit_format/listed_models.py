"""Which models a mergekit configuration names, before any of them is looked at."""

from __future__ import annotations

from search_spaces.mergekit_format.checked_values import as_mapping, as_sequence
from search_spaces.mergekit_format.reader import parse_configuration


def listed_models(text: str) -> tuple[str, ...]:
    """Folders and hub ids as they are written, each once; the base first, which is the first model where none is named.

    Raises:
        RecipeError: no mergekit configuration of a merge.
    """
    config = parse_configuration(text)
    sources = as_sequence(config["models"], "models") if "models" in config else _sources(config["slices"])
    named = [as_mapping(source, "models").get("model") for source in sources]
    base = config.get("base_model")
    return tuple(dict.fromkeys(str(model) for model in ([base] if base else []) + named))


def _sources(slices: object) -> list[object]:
    entries = (as_mapping(entry, "slices") for entry in as_sequence(slices, "slices"))
    return [source for entry in entries for source in as_sequence(entry.get("sources"), "sources")]
