"""The database of every test: a real PostgreSQL of the test run's own, never the user's; and the real commands."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from service.database.connection import URL_VARIABLE, plain_url
from service.database.embedded_postgres import EmbeddedPostgres
from tests.hub_cache import HubCache
from tests.openai_server import OpenAIServer, running_openai_server

COMMAND = Path(sys.executable).parent / "paretomerge"
FAMILY = Path(__file__).parents[1] / "service" / "demo" / "tiny_family"
# They would make typer and rich write for a terminal.
TERMINAL_VARIABLES = ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS")


def pytest_collection_finish() -> None:
    """Thousands of tests have been imported, and stay: the garbage collector need not go through them again."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _user_database_is_out_of_reach() -> Iterator[None]:
    """Whatever the environment says: a test that asks for no database gets none, and none is started for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(URL_VARIABLE, raising=False)
        patch.setenv("PARETOMERGE_DATA_DIR", "/dev/null/paretomerge-tests")
        yield


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """The URL of a server that lives as long as the test run."""
    # Not below `tmp_path_factory`: that is closed to the user as whom the server runs where we are root.
    folder = Path(tempfile.mkdtemp(prefix="paretomerge-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgres")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PARETOMERGE_POSTGRES_FSYNC", "off")
        url = server.start()
    try:
        yield url
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def fresh_database_url(database_url: str) -> Iterator[str]:
    """The URL of a database in which there is nothing but what the tests of one module put there."""
    name = f"fresh_{uuid.uuid4().hex}"
    with psycopg.connect(plain_url(database_url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield database_url.rpartition("/")[0] + f"/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same, as the database that commands and sessions use."""
    monkeypatch.setenv(URL_VARIABLE, database_url)
    return database_url


@pytest.fixture
def study_name() -> str:
    """A name that no other test has: all studies lie in one database."""
    return f"study-{uuid.uuid4().hex}"


@pytest.fixture(scope="session", autouse=True)
def _user_cache_is_out_of_reach(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What was once answered to this user is not an answer to a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PARETOMERGE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    """An endpoint of the test's own; see `OpenAIServer` for how it is told what to say."""
    with running_openai_server() as server:
        yield server


@pytest.fixture(scope="session")
def command_environment() -> Iterator[dict[str, str]]:
    """Where real commands run: they start an embedded database of their own, as they would for a user."""
    folder = Path(tempfile.mkdtemp(prefix="paretomerge-commands-"))
    folder.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name not in (URL_VARIABLE, *TERMINAL_VARIABLES)}
    environment = kept | {
        "PARETOMERGE_DATA_DIR": str(folder),
        "PARETOMERGE_POSTGRES_FSYNC": "off",
        "COLUMNS": "200",  # so that no line is broken
    }
    yield environment
    subprocess.run([COMMAND, "database", "stop"], env=environment, check=True)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def run_command(command_environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `paretomerge` with arguments to its end; keywords are further variables of its environment."""

    def run(*arguments: str | Path, timeout_s: float = 250, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = command_environment | variables
        command = [COMMAND, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False)

    return run


@pytest.fixture(scope="session")
def write_specification() -> Callable[..., Path]:
    """Writes a small search over the bundled family into a folder, in a file called as its study.

    Keywords replace keys of its sections.
    """

    def write(folder: Path, **changes: Any) -> Path:
        values: dict[str, Any] = {
            "name": f"study-{uuid.uuid4().hex}",
            "models": {
                "base": str(FAMILY / "base"),
                "experts": {name: str(FAMILY / name) for name in ("aligned", "expert")},
            },
            "space": {"method": "task_arithmetic", "granularity": "layer", "weight": [0.0, 1.5]},
            "objectives": {
                "alignment": {"set": str(FAMILY / "safety.jsonl"), "scorer": "refusal_margin"},
                "expertise": {"set": str(FAMILY / "domain.jsonl"), "scorer": "answer_likelihood"},
            },
            "search": {"evaluations": 8, "sampler": "tpe"},
            "workers": {"pool": "in_process"},
        }
        for section, change in changes.items():
            values[section] = {**values.get(section, {}), **change} if isinstance(change, dict) else change
        path = folder / f"{values['name']}.yaml"
        path.write_text(yaml.safe_dump(values, sort_keys=False))
        return path

    return write


@pytest.fixture(scope="session")
def write_task() -> Callable[..., Path]:
    """Writes a task of lm-evaluation-harness over rows of one's own into a folder, as `NAME.yaml` and `NAME.jsonl`.

    Keywords are further keys of its YAML. The folder.
    """

    def write(folder: Path, name: str, rows: Iterable[Mapping[str, Any]], **config: Any) -> Path:
        data = folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        values = {
            "task": name,
            "dataset_path": "json",
            # Not the user's cache.
            "dataset_kwargs": {"data_files": {"test": str(data)}, "cache_dir": str(folder / "cache")},
            "test_split": "test",
            "metadata": {"version": 1.0},
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(values | config, sort_keys=False))
        return folder

    return write


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubCache:
    """A cache of the hub that holds nothing yet, here and in processes to come; nobody is asked for more."""
    from huggingface_hub import constants

    cache = HubCache(tmp_path / "huggingface")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache.folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return cache


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter on the bundled family's base, as PEFT writes one."""
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("adapter")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "base_model_name_or_path": "base"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    seeded = torch.Generator().manual_seed(0)
    module = "base_model.model.model.layers.1.mlp.up_proj"
    pair = {"lora_A": (4, 64), "lora_B": (160, 4)}
    tensors = {f"{module}.{side}.weight": 0.1 * torch.randn(shape, generator=seeded) for side, shape in pair.items()}
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder
