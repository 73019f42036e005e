"""What a person sees who has made a mistake: an exit code, some lines that name it, and no traceback."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[..., Path]

FAMILY = Path(__file__).parents[2] / "service" / "demo" / "tiny_family"


class Trap:
    """Whoever unpickles it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def told(done: subprocess.CompletedProcess[str], exit_code: int = 2) -> str:
    """The message of a command that failed as it should."""
    message = done.stderr.strip()
    assert done.returncode == exit_code, message
    assert done.stdout == ""
    assert "Traceback" not in message
    assert len(message.splitlines()) <= 4
    return message


@pytest.fixture
def expert(tmp_path: Path) -> Path:
    """A copy of the bundled expert, to be damaged."""
    return shutil.copytree(FAMILY / "expert", tmp_path / "expert")


@pytest.fixture
def planned_with(tmp_path: Path, run_command: Run, write_specification: Write) -> Callable[[Path], str]:
    """The message of a plan over some expert."""

    def plan(folder: Path) -> str:
        return told(run_command("plan", write_specification(tmp_path, models={"experts": {"expert": str(folder)}})))

    return plan


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, run_command: Run, write_specification: Write) -> str:
    """A finished one."""
    specification = write_specification(tmp_path_factory.mktemp("finished"))
    assert run_command("search", specification).returncode == 0
    return specification.stem


# ---- the specification --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "hints"),
    [
        ({"space": {"granularty": "layer"}}, ["`space.granularty`", "Did you mean `granularity`?"]),
        ({"search": {"evaluations": "many"}}, ["`search.evaluations` must be a whole number", '"many"']),
        ({"space": {"weight": [1.5, 0.0]}}, ["`weight`", "low <= high", "[1.5, 0]"]),
        ({"space": {"methd": "ties"}, "workers": {"count": 0}}, ["`space.methd`", "`workers.count`"]),
        ({"models": {"base": "/nowhere/base"}}, ["'/nowhere/base' is not there", "`models`"]),
        ({"search": {"sampler": "magic"}}, ["`search.sampler`", "nsga2", "'magic'"]),
        ({"objectives": {"alignment": {"set": "nowhere.jsonl", "scorer": "refusal"}}}, ["nowhere.jsonl"]),
        ({"objectives": {"alignment": {"set": "x.jsonl", "scorer": "kindness"}}}, ["kindness", "refusal_margin"]),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_specification(
    tmp_path: Path, run_command: Run, write_specification: Write, changes: dict[str, Any], hints: list[str]
) -> None:
    message = told(run_command("plan", write_specification(tmp_path, **changes)))
    assert [hint for hint in hints if hint not in message] == []


def test_specification_that_is_not_there(run_command: Run, tmp_path: Path) -> None:
    assert f"'{tmp_path / 'search.yaml'}' is not" in told(run_command("search", tmp_path / "search.yaml"))


def test_search_with_the_name_of_another(
    tmp_path: Path, run_command: Run, write_specification: Write, study: str
) -> None:
    other = write_specification(tmp_path, name=study, search={"seed": 1})
    assert "exists with another `search.seed`" in told(run_command("search", other))


# ---- models -------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.safetensors"])
def test_pickle_is_refused_unread(expert: Path, planned_with: Callable[[Path], str], tmp_path: Path, file: str) -> None:
    (expert / "model.safetensors").unlink()
    (expert / file).write_bytes(pickle.dumps(Trap(tmp_path / "trapped")))
    message = planned_with(expert)
    assert "safetensors" in message
    assert str(expert) in message
    assert not (tmp_path / "trapped").exists()


def test_the_trap_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "trapped"))).close()
    assert (tmp_path / "trapped").exists()


@pytest.mark.parametrize("kept", [0, 5, 1000, 200_000])
def test_truncated_safetensors(expert: Path, planned_with: Callable[[Path], str], kept: int) -> None:
    weights = expert / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    assert "It may be truncated: copy or download it again." in planned_with(expert)


@pytest.mark.parametrize(
    ("changes", "shapes"), [({"hidden_size": 32}, "448x32 and not 448x64"), ({"vocab_size": 500}, "500x64 and not 448")]
)
def test_expert_of_another_shape(
    expert: Path, planned_with: Callable[[Path], str], changes: dict[str, Any], shapes: str
) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig.from_pretrained(expert, **changes)
    LlamaForCausalLM(config).save_pretrained(expert)
    message = planned_with(expert)
    assert "Expert 'expert'" in message
    assert f"model.embed_tokens.weight is {shapes}" in message


def test_expert_with_other_tokens(expert: Path, planned_with: Callable[[Path], str]) -> None:
    tokenizer = json.loads((expert / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    one, other = [token for token, number in vocabulary.items() if number in (100, 101)]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    (expert / "tokenizer.json").write_text(json.dumps(tokenizer))
    message = planned_with(expert)
    assert "must have the base's vocabulary" in message
    assert f"token {one!r} is 101 and not 100" in message


# ---- sets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "is empty"),
        ('{"prompt": "a", "answer": "b"}\n\n{"prompt": "a", answer}\n', ", line 3 is not: "),
        ('{"prompt": "a", "answer": "b"}\n{"prompt": "a"}\n', "needs `answer` in every example"),
        ('{"prompt": "a", "answer": "b", "split": "holdout"}\n', "`search`, but all are held out"),
    ],
    ids=["empty", "not JSON", "no answer", "all held out"],
)
def test_set(tmp_path: Path, run_command: Run, write_specification: Write, text: str, hint: str) -> None:
    examples = tmp_path / "set.jsonl"
    examples.write_text(text)
    objectives = {"expertise": {"set": str(examples), "scorer": "answer_likelihood"}}
    message = told(run_command("plan", write_specification(tmp_path, objectives=objectives)))
    assert hint in message
    assert hint.startswith("`") or str(examples) in message


# ---- the database -------------------------------------------------------------------------------


def test_database_that_is_not_there(run_command: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # nobody listens there once it is closed
    url = f"postgresql://someone:secret@127.0.0.1:{port}/studies"
    message = told(run_command("front", "any", PARETOMERGE_DATABASE_URL=url), exit_code=1)
    assert f"127.0.0.1:{port}/studies must answer" in message
    assert "PARETOMERGE_DATABASE_URL" in message
    assert "secret" not in message


def test_database_of_another_kind(run_command: Run) -> None:
    message = told(run_command("front", "any", PARETOMERGE_DATABASE_URL="mysql://someone:secret@host/studies"))
    assert "its scheme is 'mysql'" in message
    assert "secret" not in message


# ---- studies, trials and files ------------------------------------------------------------------


@pytest.mark.parametrize("command", [("front", "nowhere"), ("export", "nowhere", "--to", "merge")], ids="-".join)
def test_unknown_study(run_command: Run, study: str, command: tuple[str, ...]) -> None:
    message = told(run_command(*command))
    assert "there is none named 'nowhere'" in message
    assert study in message


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (("--where", "alignment>=9"), "The best it reaches: alignment 0."),
        (("--where", "kindness>=0"), "Objectives: alignment, expertise."),
        (("--where", "alignment>0.1"), "`>=` or `<=`"),
        (("--plot", "front.pdf"), "must end in .png, .svg, .html"),
        (("--plot", "nowhere/front.png"), "A picture must be written to 'nowhere/front.png'"),
    ],
    ids=lambda given: given[-1] if isinstance(given, tuple) else "",
)
def test_front(run_command: Run, study: str, options: tuple[str, ...], hint: str) -> None:
    assert hint in told(run_command("front", study, *options))


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (("--trial", "99"), "0 to 7, but got 99"),
        (("--where", "alignment>=9"), "The best it reaches: alignment 0."),
        (("--max-shard-size", "large"), "such as 5GB, but got 'large'"),
    ],
    ids=lambda given: given[0] if isinstance(given, tuple) else "",
)
def test_export(run_command: Run, study: str, tmp_path: Path, options: tuple[str, ...], hint: str) -> None:
    assert hint in told(run_command("export", study, "--to", tmp_path / "merge", *options))
    assert list(tmp_path.iterdir()) == []


def test_export_to_a_folder_that_exists(run_command: Run, study: str, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    assert f"'{tmp_path}' exists" in told(run_command("export", study, "--to", tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_dashboard_at_a_port_that_is_taken(run_command: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = run_command("dashboard", "--port", port)
    assert done.returncode == 1
    assert re.search(rf"must listen on 127.0.0.1:{port}, but cannot: .*`--port`", done.stderr)
    assert "Traceback" not in done.stderr


def test_workers_on_gpus_that_are_not_there(run_command: Run, write_specification: Write, tmp_path: Path) -> None:
    specification = write_specification(tmp_path, workers={"pool": "ray", "gpus_per_worker": 64})
    done = run_command("search", specification)
    assert done.returncode == 1
    assert "The workers need 64 GPUs (`workers.gpus_per_worker`)" in done.stderr
    assert "Traceback" not in done.stderr


# ---- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("frnt", "any"), ("front", "any", "--polt", "x.png"), ("search",)], ids=" ".join)
def test_command_line(run_command: Run, arguments: tuple[str, ...]) -> None:
    done = run_command(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variables", "exit_code"), [({}, 2), ({"PARETOMERGE_DATABASE_URL": "postgresql://a@127.0.0.1:1/b"}, 1)]
)
def test_debug_shows_where_and_keeps_the_exit_code(
    run_command: Run, study: str, variables: dict[str, str], exit_code: int
) -> None:
    done = run_command("--debug", "front", "nowhere", **variables)
    assert done.returncode == exit_code
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert re.search(r"^search_spaces\.errors\.(Selection|Database)Error: ", done.stderr, re.MULTILINE)


def test_json_can_be_parsed(run_command: Run, study: str, write_specification: Write, tmp_path: Path) -> None:
    plan = json.loads(run_command("plan", write_specification(tmp_path), "--json").stdout)
    front = json.loads(run_command("front", study, "--json").stdout)
    assert plan["n_dims"] == 12
    assert plan["make_s"] > 0
    assert plan["memory"]["sources"] == "mapped"
    assert front["study"] == study
    assert front["finished"] == 8
    assert front["selected"] in [trial["trial"] for trial in front["front"]]
