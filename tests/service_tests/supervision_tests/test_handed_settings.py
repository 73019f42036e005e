"""What goes from the service to its supervisor."""

from __future__ import annotations

from pathlib import Path

from service.settings import ServiceSettings
from service.supervision.handed_settings import read_settings, written_settings


def test_settings_pass_whole_but_for_the_token(tmp_path: Path) -> None:
    settings = ServiceSettings(
        "postgresql+psycopg://user:secret@host/name",
        exports=tmp_path,
        models=(tmp_path / "models",),
        sets=(tmp_path / "sets", Path("relative")),
        endpoints=("http://127.0.0.1:9/v1",),
        token="for clients",
        n_slots=7,
        n_cpus=3,
    )
    line = written_settings(settings)
    assert line.count(b"\n") == 1
    assert b"for clients" not in line
    read = read_settings(line)
    assert read.sets == (tmp_path / "sets", Path("relative").absolute())
    assert (read.database_url, read.exports, read.models) == (settings.database_url, tmp_path, settings.models)
    assert (read.endpoints, read.n_slots, read.n_cpus, read.token) == (settings.endpoints, 7, 3, "")


def test_no_secret_is_shown() -> None:
    assert "secret" not in repr(ServiceSettings("postgresql+psycopg://user:secret@host/name", Path(), token="secret"))
