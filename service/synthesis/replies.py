"""From what a generator writes to the question in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from json_repair import loads

# What a whole question ends with, also where the JSON around it was cut off.
_SENTENCE_ENDS = ("?", ".", "!")


def read_question(reply: str) -> str | None:
    """The first question of a reply; None where there is none.

    Generators write JSON with prose or code fences around it, in lists, with single quotes, or cut off: all is
    read, but prose alone and a question that itself is cut off are not.
    """
    start = min((reply.index(mark) for mark in "{[" if mark in reply), default=None)
    if start is None:
        return None
    for found in _texts(_parsed(reply[start:])):
        question = " ".join(found.split())
        if _is_text(question) and (question.endswith(_SENTENCE_ENDS) or _is_closed(found, reply)):
            return question
    return None


def _parsed(text: str) -> Any:
    try:
        return loads(text)
    except (ValueError, RecursionError):  # brackets within brackets, hundreds deep
        return None


def _is_text(question: str) -> bool:
    """Whether it says something, unlike the `...` of the form that was shown, and can be written down.

    Half a surrogate pair cannot.
    """
    return any(map(str.isalnum, question)) and question == question.encode("utf-8", "replace").decode("utf-8")


def _texts(value: Any) -> Iterator[str]:
    """What stands under `question`, in whatever nesting and spelling."""
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    if isinstance(value, dict):
        for key, item in value.items():
            if str(key).strip().lower() == "question" and isinstance(item, str):
                yield item
            else:
                yield from _texts(item)


def _is_closed(text: str, reply: str) -> bool:
    """Whether a quotation mark follows on the text in the reply."""
    written = (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], text)
    return any(form + mark in reply for form in written for mark in "\"'")
