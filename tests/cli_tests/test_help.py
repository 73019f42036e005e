"""What the commands say of themselves, how quickly, and that the documents name no other."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from service.cli.app import app

Run = Callable[..., subprocess.CompletedProcess[str]]

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("scripts/*/README.md")])
HEAVY = ("torch", "ray", "transformers", "optuna", "matplotlib", "sqlalchemy")
# One line of `-X importtime`: two times and a module, indented by depth.
IMPORTED = re.compile(r"^import time:\s+\d+ \|\s+\d+ \|\s+([\w.]+)$", re.MULTILINE)
FENCED, INLINE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL), re.compile(r"`([^`\n]+)`")
# A command line ends with the line, a comment, or the bracket or quote in which it stands.
# It begins with the line, a bracket, a quote or another command's end, behind variables if there are any: elsewhere the
# word is somebody's argument, such as a namespace.
CALLED = re.compile(
    r"(?:^|[(\"|;&])\s*(?:[A-Z_]+=(?:\$\([^)]*\)|\S*) +)*paretomerge((?: +(?:'[^']*'|[\w./:=<>{}-]+))+)"
)


def command_tree() -> typer.core.TyperGroup:
    found = typer.main.get_command(app)
    assert isinstance(found, typer.core.TyperGroup)
    return found


def every_command(words: tuple[str, ...], command: Any) -> Iterator[tuple[str, ...]]:
    """The words of each command, groups and the whole included."""
    yield words
    for name, member in getattr(command, "commands", {}).items():
        yield from every_command((*words, name), member)


def called(markdown: str) -> Iterator[list[str]]:
    """The words after `paretomerge` wherever a document shows it as code."""
    code = [*FENCED.findall(markdown), *INLINE.findall(FENCED.sub("", markdown))]
    for line in "\n".join(code).splitlines():
        for words in CALLED.findall(line.partition(" #")[0]):
            yield shlex.split(words)


def is_flag(parameter: Any) -> bool:
    return getattr(parameter, "is_flag", False)


def unknown(words: list[str]) -> str | None:
    """The first word that is neither a command nor one of its options; arguments and values are passed over."""
    command = command_tree()
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            takes_value = {option: not is_flag(parameter) for parameter in command.params for option in parameter.opts}
            name, equals, _ = word.partition("=")
            if name not in takes_value | {"--help": False}:
                return word
            if takes_value.get(name) and not equals:
                next(rest, None)
        elif isinstance(command, typer.core.TyperGroup):
            if word not in command.commands:
                return word
            command = command.commands[word]  # type: ignore[assignment]
    return None


@pytest.mark.parametrize("command", list(every_command((), command_tree())), ids=" ".join)
def test_help_loads_nothing_heavy(run_command: Run, command: tuple[str, ...]) -> None:
    done = run_command(*command, "--help", PYTHONPROFILEIMPORTTIME="1")
    loaded = {name.partition(".")[0] for name in IMPORTED.findall(done.stderr)}
    assert done.returncode == 0
    assert f"paretomerge {' '.join(command)}".strip() in done.stdout
    assert "typer" in loaded
    assert not loaded & set(HEAVY)


def test_a_command_without_arguments_shows_its_help(run_command: Run) -> None:
    assert "search" in run_command().stdout


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_documents_name_only_what_exists(path: Path) -> None:
    assert [words for words in called(path.read_text()) if unknown(words)] == []


@pytest.mark.parametrize(
    ("markdown", "word"),
    [
        ("`paretomerge serach x.yaml`", "serach"),
        ("```sh\nparetomerge front s --where 'a>=1' --polt x.png  # a comment\n```", "--polt"),
        ("`paretomerge database start`", "start"),
        ("`paretomerge --server http://host:8008 serach x.yaml`", "serach"),
        ("`A_TOKEN=$(cat token) B=1 paretomerge serach x.yaml`", "serach"),
        ("```sh\nmake data && paretomerge serach x.yaml\n```", "serach"),
        ('```sh\npsql "$(paretomerge --quiet database url)"\n```', "--quiet"),
    ],
)
def test_what_does_not_exist_would_be_found(markdown: str, word: str) -> None:
    assert [unknown(words) for words in called(markdown)] == [word]


@pytest.mark.parametrize(
    "markdown",
    [
        "paretomerge makes a front, `paretomerge` is its name, and .venv/bin/paretomerge is a file",
        "`paretomerge --debug search x.yaml`",
        "```sh\nkubectl --namespace paretomerge get pods\n```",
        "```sh\nparetomerge --server http://host:8008 front s --where 'a>=1' --json\n```",
        "```sh\nparetomerge export s --trial=3 --to ./m   # whole\nparetomerge database url\n```",
    ],
)
def test_what_exists_is_passed(markdown: str) -> None:
    assert [unknown(words) for words in called(markdown) if unknown(words)] == []


def test_the_readme_shows_the_way() -> None:
    shown = {words[0] for words in called((REPOSITORY / "README.md").read_text())}
    assert {"plan", "search", "front", "export"} <= shown
