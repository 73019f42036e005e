"""The image: pinned, not root, without secrets, and made by scripts that can be run without Docker."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from tests.docker_tests.docker_files import DOCKER, REPOSITORY, SCRIPTS, Instruction

SECRET = re.compile(r"TOKEN|PASSWORD|SECRET|API_KEY")


def of(dockerfile: list[Instruction], word: str) -> list[Instruction]:
    return [instruction for instruction in dockerfile if instruction.word == word]


def test_base_is_pinned_to_a_patch_release_that_the_project_supports(dockerfile: list[Instruction]) -> None:
    bases = {i.arguments[0] for i in of(dockerfile, "FROM")}
    defaults = [i.rest for i in of(dockerfile, "ARG") if i.rest.startswith("PYTHON_IMAGE=")]
    assert bases == {"${PYTHON_IMAGE}"}
    assert (match := re.fullmatch(r"PYTHON_IMAGE=python:(3\.\d+)\.\d+-slim-[a-z]+", defaults[0]))
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {match[1]}" in project["classifiers"]


def test_every_run_is_one_script_that_can_be_executed(dockerfile: list[Instruction]) -> None:
    for instruction in of(dockerfile, "RUN"):
        (command,) = instruction.arguments
        script = SCRIPTS / command.removeprefix("/scripts/")
        assert script.is_file()
        assert script.stat().st_mode & 0o111


def test_every_script_that_is_run_was_copied_before(dockerfile: list[Instruction]) -> None:
    copied: set[str] = set()
    for instruction in dockerfile:
        if instruction.word == "FROM":
            copied = set()
        if instruction.word == "COPY":
            copied |= {source.rpartition("/")[2] for source in instruction.arguments[:-1]}
        if instruction.word == "RUN":
            assert instruction.arguments[0].rpartition("/")[2] in copied


def test_every_source_that_is_copied_exists_and_passes_the_ignore_list(dockerfile: list[Instruction]) -> None:
    allowed = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = [s for i in of(dockerfile, "COPY") if "--from" not in i.rest for s in i.arguments[:-1]]
    for source in sources:
        assert (REPOSITORY / source).exists()
        assert source in allowed or any(source.startswith(f"{folder}/") for folder in allowed)


def test_whole_package_is_copied(dockerfile: list[Instruction]) -> None:
    wheel = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    sources = {s for i in of(dockerfile, "COPY") for s in i.arguments[:-1]}
    assert set(wheel["packages"]) <= sources


def test_code_comes_after_dependencies(dockerfile: list[Instruction]) -> None:
    words = [f"{i.word} {i.rest}" for i in dockerfile]
    dependencies = next(n for n, text in enumerate(words) if text.startswith("RUN") and "dependencies" in text)
    copied_before = {s for i in of(dockerfile[:dependencies], "COPY") for s in i.arguments[:-1]}
    assert copied_before == {"docker/scripts/install-dependencies.sh", "pyproject.toml", "constraints.txt"}


def test_nothing_is_sent_to_the_builder_that_is_not_named() -> None:
    lines = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert {"**/.git", "**/.venv", "**/.env", "**/secrets"} <= set(lines)
    # Later lines win: what is kept out must come after what is let in.
    assert not any(line.startswith("!") for line in lines[lines.index("**/__pycache__") :])


def test_runs_as_a_fixed_user_that_the_script_makes(dockerfile: list[Instruction]) -> None:
    (user,) = of(dockerfile, "USER")
    assert (match := re.fullmatch(r"(\d+):\1", user.rest))
    assert int(match[1]) >= 10000
    assert f'USER_ID="${{USER_ID:-{match[1]}}}"' in (SCRIPTS / "prepare-runtime.sh").read_text()


def test_accelerator_is_a_build_argument(dockerfile: list[Instruction]) -> None:
    assert "ACCELERATOR=cpu" in [i.rest for i in of(dockerfile, "ARG")]


def test_has_health_check_labels_and_first_process(dockerfile: list[Instruction]) -> None:
    assert "/scripts/healthcheck.sh" in of(dockerfile, "HEALTHCHECK")[0].rest
    labels = of(dockerfile, "LABEL")[0].rest
    for key in ("title", "description", "version", "licenses", "base.name"):
        assert f"org.opencontainers.image.{key}=" in labels
    assert of(dockerfile, "ENTRYPOINT")[0].arguments == ["/usr/bin/tini", "--", "/scripts/entrypoint.sh"]


def test_label_and_images_tell_the_projects_version(dockerfile: list[Instruction], compose: dict[str, Any]) -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert f'image.version="{version}"' in of(dockerfile, "LABEL")[0].rest
    assert f"paretomerge:{version}-cpu" in compose["services"]["service"]["image"]
    assert f"paretomerge:{version}-cuda" in compose["services"]["ray-worker-gpu"]["image"]


@pytest.mark.parametrize("word", ["ARG", "ENV", "LABEL"])
def test_no_secret_is_baked_in(dockerfile: list[Instruction], word: str) -> None:
    assert not [i.rest for i in of(dockerfile, word) if SECRET.search(i.rest)]


def test_output_is_not_held_back(dockerfile: list[Instruction]) -> None:
    assert any("PYTHONUNBUFFERED=1" in i.rest for i in of(dockerfile, "ENV"))


def test_secrets_and_settings_are_kept_out_of_the_repository() -> None:
    assert {".env", "secrets/"} <= set((DOCKER / ".gitignore").read_text().splitlines())
