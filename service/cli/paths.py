"""Paths as a person types them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer


def path_option(help_text: str, *names: str) -> Any:
    """An option that is a path, in which `~` is the home folder: a shell does not see it in `--to=~/merge`.

    Args:
        help_text: what it says of itself.
        names: where they are not those of the parameter.
    """
    return typer.Option(*names, help=help_text, callback=_home_expanded)


def _home_expanded(path: Path | None) -> Path | None:
    return path and Path(os.path.expanduser(path))
