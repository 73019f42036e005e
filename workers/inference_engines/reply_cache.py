"""Replies that are kept: what was answered once is not asked again."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import asdict
from functools import cache
from pathlib import Path

from search_spaces.errors import GenerationError
from workers.cache_folder import FOLDER_VARIABLE
from workers.inference_engines.conversation import GenerationOptions, Prompt, conversation_of
from workers.inference_engines.model_source import ModelSource


class ReplyCache:
    """A folder with a file for each question that was answered; several processes and threads may share it.

    Args:
        folder: made at the first reply.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> tuple[str, ...] | None:
        """The replies kept under a key; None where there are none, or a file is torn or closed to us."""
        try:
            return tuple(json.loads(self._path(key).read_text(encoding="utf-8"))["replies"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, replies: tuple[str, ...]) -> None:
        """Keep replies; whole or not at all.

        Raises:
            GenerationError: the folder cannot be written.
        """
        path = self._path(key)
        # Nobody else writes to this one; of two that keep one key, the last stays, whole.
        part = path.with_suffix(f".part-{uuid.uuid4().hex}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # ASCII: an answer may hold half a surrogate pair, which UTF-8 does not take.
            part.write_text(json.dumps({"replies": replies}), encoding="utf-8")
            part.replace(path)
        except OSError as error:
            raise GenerationError(
                f"Replies must be kept in '{self._folder}', but cannot be: {error}. Make room there, name another "
                f"folder, or set `{FOLDER_VARIABLE}`; then run the same again."
            ) from None

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"


@cache
def identity_of(source: ModelSource) -> str:
    """What stands for a model in a `question_key`: name and endpoint, or what a folder holds, for it may be moved.

    Raises:
        CheckpointError: the folder holds no checkpoint.
    """
    from workers.checkpoints import read_header
    from workers.checkpoints.fingerprint import DECIDING_FILES, fingerprint
    from workers.checkpoints.model_roots import on_this_node

    if source.endpoint:
        return str(source)
    header = read_header(on_this_node(source.model))
    digest = hashlib.sha256(fingerprint(header).encode())
    for name in DECIDING_FILES:
        path = header.folder / name
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


def question_key(model: str, prompts: tuple[Prompt, ...], options: GenerationOptions) -> str:
    """What a reply depends on, as a digest.

    Args:
        model: what stands for it; see `identity_of`.
        prompts: asked together; with sampling, answers depend on all of them.
        options: how they are answered.
    """
    turns = [[(message.role, message.content) for message in conversation_of(prompt)] for prompt in prompts]
    text = json.dumps([model, turns, asdict(options)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
