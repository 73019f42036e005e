"""Replies that are kept: what was answered once is not asked again."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

from workers.inference_engines.conversation import GenerationOptions, Prompt, conversation_of


class ReplyCache:
    """A folder with a file for each question that was answered; several processes may share it.

    Args:
        folder: made at the first reply.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> tuple[str, ...] | None:
        """The replies kept under a key; None where there are none, or a file is torn."""
        try:
            kept = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return tuple(kept["replies"])

    def put(self, key: str, replies: tuple[str, ...]) -> None:
        """Keep replies; whole or not at all."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".part-{os.getpid()}")
        part.write_text(json.dumps({"replies": replies}, ensure_ascii=False), encoding="utf-8")
        part.replace(path)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"


def question_key(model: str, prompts: tuple[Prompt, ...], options: GenerationOptions) -> str:
    """What a reply depends on, as a digest.

    Args:
        model: what stands for it: its weights' fingerprint, or name and endpoint.
        prompts: asked together; with sampling, answers depend on all of them.
        options: how they are answered.
    """
    turns = [[(message.role, message.content) for message in conversation_of(prompt)] for prompt in prompts]
    text = json.dumps([model, turns, asdict(options)], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
