"""Parameters that several routes share."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Path

# Other names cannot be in the database; the check keeps NUL and the like from it.
SearchName = Annotated[
    str, Path(description="The search's name.", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", examples=["demo"])
]
JobId = Annotated[uuid.UUID, Path(description="As it was given when the job was asked for.")]
