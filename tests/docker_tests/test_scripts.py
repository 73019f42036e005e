"""The scripts that make the image, run where there is no Docker."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.docker_tests.docker_files import REPOSITORY, SCRIPTS

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "search_spaces", "workers", "service")
# Where the linters are, as the tests were installed.
INSTALLED = Path(sys.executable).parent
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes users and gives files away")


def run(script: str, *arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PARETOMERGE_", "PG"))}
    environment = kept | {name: str(value) for name, value in variables.items()}
    command = ["/bin/sh", str(SCRIPTS / script), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def write_wheel(folder: Path, name: str, version: str, *requirements: str) -> None:
    """A wheel with one empty module, as pip takes it."""
    info = f"{name}-{version}.dist-info"
    metadata = [
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}",
        *(f"Requires-Dist: {r}" for r in requirements),
    ]
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in files.items()]
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        wheel.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,"]) + "\n")


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def every_script() -> list[str]:
    return sorted(path.name for path in SCRIPTS.iterdir())


@pytest.mark.parametrize("script", every_script())
def test_script_is_strict_posix_shell(script: str) -> None:
    path = SCRIPTS / script
    text = path.read_text()
    assert text.startswith("#!/bin/sh\n# ")
    assert "\nset -eu\n" in text
    assert path.stat().st_mode & 0o111
    assert subprocess.run(["/bin/sh", "-n", path], capture_output=True, text=True, check=True).stderr == ""


@pytest.mark.parametrize("script", every_script())
def test_shellcheck_has_nothing_to_say(script: str) -> None:
    done = subprocess.run([INSTALLED / "shellcheck", SCRIPTS / script], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_hadolint_has_nothing_to_say() -> None:
    command = [INSTALLED / "hadolint", REPOSITORY / "docker" / "Dockerfile"]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == ""


# ---- install-dependencies.sh ----


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """An index without a network: what a small project needs, in two versions each."""
    folder = tmp_path / "index"
    folder.mkdir()
    for version in ("1.0", "2.0"):
        write_wheel(folder, "torch", version)
        write_wheel(folder, "sampler", version, "torch")
        write_wheel(folder, "backend", version)
    return folder


@pytest.fixture
def small_project(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["backend>=1"]\n[project]\ndependencies = [\n"sampler>=1", # why\n"torch>=1",\n]\n'
    )
    (folder / "constraints.txt").write_text("torch==1.0\nsampler==1.0\nbackend==1.0\n")
    return folder


def install_dependencies(tmp_path: Path, **variables: object) -> subprocess.CompletedProcess[str]:
    return run(
        "install-dependencies.sh",
        **{
            "SOURCE": tmp_path / "source",
            "VIRTUAL_ENV": tmp_path / "environment",
            "BUILD_ENV": tmp_path / "build",
            "PYTHON": sys.executable,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": 1,
            "PIP_FIND_LINKS": tmp_path / "index",
            "TORCH_INDEX_URL": "",
        }
        | variables,
    )


def installed(environment: Path) -> set[str]:
    return {path.name.removesuffix(".dist-info") for path in environment.glob("lib/python3*/site-packages/*.dist-info")}


@pytest.mark.usefixtures("index", "small_project")
@pytest.mark.parametrize("accelerator", ["cpu", "cuda"])
def test_dependencies_are_those_of_the_project_at_pinned_versions(tmp_path: Path, accelerator: str) -> None:
    done = install_dependencies(tmp_path, ACCELERATOR=accelerator)
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "environment") == {"torch-1.0", "sampler-1.0"}
    assert installed(tmp_path / "build") == {"backend-1.0"}


def test_unknown_accelerator_is_refused(tmp_path: Path) -> None:
    done = install_dependencies(tmp_path, ACCELERATOR="tpu")
    assert (done.returncode, done.stdout) == (2, "")
    assert "`ACCELERATOR` must be cpu or cuda, but is 'tpu'." in done.stderr
    assert not (tmp_path / "environment").exists()


@pytest.mark.usefixtures("small_project")
@pytest.mark.parametrize(("accelerator", "exit_code"), [("cpu", 2), ("cuda", 0)])
def test_torch_for_cuda_is_no_torch_for_a_cpu(tmp_path: Path, index: Path, accelerator: str, exit_code: int) -> None:
    write_wheel(index, "torch", "1.0", "nvidia-cudnn")
    write_wheel(index, "nvidia_cudnn", "1.0")
    done = install_dependencies(tmp_path, ACCELERATOR=accelerator)
    assert done.returncode == exit_code, done.stderr
    assert ("torch must be built without CUDA" in done.stderr) == bool(exit_code)


@pytest.mark.usefixtures("index", "small_project")
def test_torch_comes_from_its_own_index_alone(tmp_path: Path) -> None:
    """An index that has nothing: the one torch that lies in the other is not taken."""
    (tmp_path / "empty").mkdir()
    done = install_dependencies(
        tmp_path, TORCH_INDEX_URL=(tmp_path / "empty").as_uri(), PIP_FIND_LINKS="", PIP_NO_INDEX=0
    )
    assert done.returncode != 0
    assert installed(tmp_path / "environment") == set()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_real_dependencies_and_the_project_install_and_agree(tmp_path: Path) -> None:
    source = copy_of_the_project(tmp_path / "source")
    shutil.copy(REPOSITORY / "constraints.txt", source)
    places = {
        "SOURCE": source,
        "VIRTUAL_ENV": tmp_path / "environment",
        "BUILD_ENV": tmp_path / "build",
        "PYTHON": sys.executable,
    }
    for script in ("install-dependencies.sh", "install-project.sh"):
        environment = os.environ | {name: str(value) for name, value in places.items()} | {"TORCH_INDEX_URL": ""}
        subprocess.run(["/bin/sh", SCRIPTS / script], env=environment, check=True)
    python = tmp_path / "environment" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "check"], check=True)
    subprocess.run([python, "-c", "import torch, ray, transformers, service, workers"], check=True)


# ---- install-project.sh ----


def copy_of_the_project(folder: Path) -> Path:
    folder.mkdir()
    for name in SOURCES:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Without pip, and with the dependencies of this one."""
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (here,) = Path(sys.prefix).glob("lib/python3*/site-packages")
    # As a path alone: what an editable installation of the project adds to it stays behind.
    (packages / "dependencies.pth").write_text(f"{here}\n")
    return folder


def test_project_is_installed_whole(tmp_path: Path, environment: Path) -> None:
    source = copy_of_the_project(tmp_path / "source")
    build = Path(sys.prefix)
    done = run("install-project.sh", SOURCE=source, VIRTUAL_ENV=environment, BUILD_ENV=build, PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr
    (packages,) = environment.glob("lib/python3*/site-packages")
    for name in ("search_spaces", "workers", "service"):
        shipped = {path.relative_to(source) for path in (source / name).rglob("*") if path.is_file()}
        there = {p.relative_to(packages) for p in (packages / name).rglob("*") if "__pycache__" not in p.parts}
        assert shipped <= there
    asked = [str(environment / "bin" / "python"), "-c", "import service; print(service.__file__)"]
    where = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert where.startswith(str(packages))


def test_project_without_a_package_is_not_installed(tmp_path: Path, environment: Path) -> None:
    source = copy_of_the_project(tmp_path / "source")
    shutil.rmtree(source / "search_spaces")
    build = Path(sys.prefix)
    done = run("install-project.sh", SOURCE=source, VIRTUAL_ENV=environment, BUILD_ENV=build, PYTHON=sys.executable)
    assert done.returncode != 0


# ---- prepare-runtime.sh ----


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that stands for a container's root."""
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group", "shadow", "gshadow"):
        (tmp_path / "etc" / name).write_text("")
    return tmp_path


@AS_ROOT
def test_runtime_has_a_user_its_folders_and_its_programs(root: Path) -> None:
    done = run("prepare-runtime.sh", ROOT=root, VIRTUAL_ENV="/opt/paretomerge")
    assert done.returncode == 0, done.stderr
    assert "paretomerge:x:10001:10001::/home/paretomerge:/usr/sbin/nologin" in (root / "etc" / "passwd").read_text()
    for name in ("home/paretomerge", "exports", "models", "sets"):
        assert ((root / name).stat().st_uid, (root / name).stat().st_gid) == (10001, 10001)
    assert (root / "usr/local/bin/ray").readlink() == Path("/opt/paretomerge/bin/ray")
    assert (root / "usr/local/bin/paretomerge").readlink() == Path("/opt/paretomerge/bin/paretomerge")


# ---- make-secrets.sh ----


def test_secrets_are_made_once_and_closed(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert run("make-secrets.sh", SECRETS=folder).returncode == 0
    first = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(first) == {"database_password", "token"}
    assert len({*first.values()}) == 2
    assert all(len(bytes.fromhex(value)) == 32 for value in first.values())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}
    assert run("make-secrets.sh", SECRETS=folder).stdout == ""
    assert {path.name: path.read_text() for path in folder.iterdir()} == first
