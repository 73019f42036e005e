"""A digest of every byte of a model, kept as long as its files are the same."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from workers.checkpoints import content_digest as module
from workers.checkpoints import fingerprint, read_header
from workers.checkpoints.content_digest import content_digest, file_digest, hash_file


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARETOMERGE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(family: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(family / "base", tmp_path / "model"))


def change_byte(path: Path, position: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 1]))


def test_a_copy_has_the_same(family: Path, model: Path) -> None:
    assert content_digest(read_header(model)) == content_digest(read_header(family / "base"))


def test_one_bit_between_samples_is_seen(model: Path) -> None:
    weights = model / "model.safetensors"
    before = content_digest(read_header(model)), fingerprint(read_header(model))
    change_byte(weights, weights.stat().st_size - 4100)  # just before the last sample
    assert fingerprint(read_header(model)) == before[1]
    assert content_digest(read_header(model)) != before[0]


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "chat_template.jinja"])
def test_what_decides_answers_beside_weights_counts(model: Path, name: str) -> None:
    before = content_digest(read_header(model))
    (model / name).write_text((model / name).read_text() + " ")
    assert content_digest(read_header(model)) != before


@pytest.mark.parametrize("size", [0, 1, 64, 65, 200])
def test_parts_and_threads_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(module, "_PART_BYTES", 64)
    monkeypatch.setattr(module, "_READ_BYTES", 10)
    (tmp_path / "file").write_bytes(content := os.urandom(size))
    parts = b"".join(hashlib.sha256(content[start : start + 64]).digest() for start in range(0, size, 64))
    for n_threads in (1, 3):
        assert hash_file(tmp_path / "file", n_threads) == hashlib.sha256(parts).hexdigest()


def test_it_is_computed_once_for_a_file_as_it_is(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, hashed = model / "model.safetensors", []
    monkeypatch.setattr(module, "hash_file", lambda path: hashed.append(path) or str(len(hashed)))  # type: ignore[func-returns-value]
    assert [file_digest(weights), file_digest(weights)] == ["1", "1"]
    os.utime(weights, ns=(0, 0))
    assert [file_digest(weights), file_digest(weights)] == ["2", "2"]
    shutil.copy(weights, model / "other")
    (model / "other").replace(weights)
    os.utime(weights, ns=(0, 0))  # another file of the same name, size and time
    assert file_digest(weights) == "3"


@pytest.mark.parametrize("damage", ["torn", "a file in the folder's place"])
def test_a_cache_that_cannot_be_used_is_no_error(model: Path, cache: Path, damage: str) -> None:
    wanted = content_digest(read_header(model))
    if damage == "torn":
        for kept in cache.rglob("*.json"):
            kept.write_text("{")
    else:
        shutil.rmtree(cache)
        cache.write_text("")
    assert content_digest(read_header(model)) == wanted
