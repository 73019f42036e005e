"""Replies that are kept in a folder."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from search_spaces.errors import CheckpointError, GenerationError
from workers.cache_folder import cache_folder
from workers.inference_engines import GenerationOptions, Message, ModelSource
from workers.inference_engines.reply_cache import ReplyCache, identity_of, question_key

OPTIONS = GenerationOptions(max_new_tokens=7, temperature=0.5, seed=3, stop=("END",))
KEY = question_key("judge", ("hello",), OPTIONS)
# Half a surrogate pair: JSON may hold it, UTF-8 may not.
ODD = ("a\nb", "", 'ü 漢 \N{GRINNING FACE} "\\', "\ud83d")


@pytest.mark.parametrize("replies", [("yes",), ("yes", "no"), (), ODD])
def test_what_is_put_is_got(tmp_path: Path, replies: tuple[str, ...]) -> None:
    ReplyCache(tmp_path / "not" / "there").put(KEY, replies)
    assert ReplyCache(tmp_path / "not" / "there").get(KEY) == replies


def test_what_was_not_put_is_not_got(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path)
    cache.put(KEY, ("yes",))
    assert cache.get(question_key("judge", ("hello?",), OPTIONS)) is None


def test_the_last_reply_stays(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path)
    for reply in ("first", "last"):
        cache.put(KEY, (reply,))
    assert cache.get(KEY) == ("last",)


@pytest.mark.parametrize("content", [b"", b'{"replies": ["y', b"\xff\xfe", b"[]", b"3", b'{"replies": 3}', b"{}"])
def test_a_torn_file_counts_as_none_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    cache = ReplyCache(tmp_path)
    cache.put(KEY, ("yes",))
    [path] = tmp_path.rglob("*.json")
    path.write_bytes(content)
    assert cache.get(KEY) is None
    cache.put(KEY, ("yes",))
    assert cache.get(KEY) == ("yes",)


def test_many_threads_keep_whole_replies_and_leave_nothing_else(tmp_path: Path) -> None:
    cache, replies = ReplyCache(tmp_path), [(letter * 10_000,) for letter in "abcdefgh"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda reply: cache.put(KEY, reply), replies * 10))
    assert cache.get(KEY) in replies
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".json"]


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = ReplyCache(tmp_path / "file" / "below")
    assert cache.get(KEY) is None
    with pytest.raises(
        GenerationError, match=r"must be kept in '.*file/below', but cannot be: .*PARETOMERGE_CACHE_DIR"
    ):
        cache.put(KEY, ("yes",))


@pytest.mark.parametrize(
    "other",
    [
        question_key("another judge", ("hello",), OPTIONS),
        question_key("judge", ("hello", "hello"), OPTIONS),
        question_key("judge", ((Message("system", "hello"),),), OPTIONS),
        question_key("judge", ((Message("user", "hel"), Message("user", "lo")),), OPTIONS),
        question_key("judge", ("hello",), replace(OPTIONS, max_new_tokens=8)),
        question_key("judge", ("hello",), replace(OPTIONS, temperature=0.6)),
        question_key("judge", ("hello",), replace(OPTIONS, seed=4)),
        question_key("judge", ("hello",), replace(OPTIONS, stop=())),
    ],
)
def test_a_key_depends_on_all_that_a_reply_depends_on(other: str) -> None:
    assert other != KEY


def test_a_text_is_the_conversation_that_it_stands_for() -> None:
    assert question_key("judge", ((Message("user", "hello"),),), OPTIONS) == KEY


def test_a_key_is_the_same_in_another_process() -> None:
    code = (
        "from workers.inference_engines import GenerationOptions as O; "
        "from workers.inference_engines.reply_cache import question_key; "
        "print(question_key('judge', ('hello',), O(7, 0.5, 3, ('END',))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == KEY


def test_odd_texts_have_keys() -> None:
    assert len({question_key("judge", (text,), OPTIONS) for text in ODD}) == len(ODD)


def test_the_environment_says_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PARETOMERGE_CACHE_DIR", str(tmp_path))
    assert cache_folder("judge") == tmp_path / "judge"
    monkeypatch.delenv("PARETOMERGE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert cache_folder("judge").parts[-2:] == ("paretomerge", "judge")


def test_a_folder_is_known_by_what_it_holds(models: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "moved").symlink_to(models["base"])
    assert identity_of(ModelSource(str(tmp_path / "moved"))) == identity_of(ModelSource(models["base"]))
    assert len({identity_of(ModelSource(folder)) for folder in models.values()}) == len(models)


def test_an_endpoint_is_known_by_name_and_address() -> None:
    here = ModelSource("a", "http://here/v1")
    assert identity_of(here) == identity_of(replace(here, n_parallel=9, timeout_s=1.0))
    others = [replace(here, model="b"), replace(here, endpoint="http://there/v1")]
    assert identity_of(here) not in [identity_of(other) for other in others]


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json"):
        identity_of(ModelSource(str(tmp_path)))
