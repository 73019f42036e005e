"""The settings as they go to the supervisor's process: by a pipe, for others can read arguments and environments."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from service.settings import ServiceSettings

_FOLDERS = ("models", "sets")


def written_settings(settings: ServiceSettings) -> bytes:
    """One line; the clients' token stays behind."""
    values = asdict(replace(settings, token=""))
    values["exports"] = str(settings.exports.absolute())
    values |= {key: [str(folder.absolute()) for folder in values[key]] for key in _FOLDERS}
    return json.dumps(values).encode() + b"\n"


def read_settings(line: bytes) -> ServiceSettings:
    """The inverse of `written_settings`."""
    values = json.loads(line)
    values["exports"] = Path(values["exports"])
    values |= {key: tuple(map(Path, values[key])) for key in _FOLDERS}
    return ServiceSettings(**{**values, "endpoints": tuple(values["endpoints"])})
