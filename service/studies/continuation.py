"""Whether a study may be continued by a specification: what it is must be the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, text

from search_spaces.errors import SpecificationError

# Of a study: what it is.
ATTRIBUTE = "paretomerge"

_STORED = text(
    "SELECT value_json FROM studies JOIN study_user_attributes USING (study_id) WHERE study_name = :name AND key = :key"
)


@dataclass(frozen=True, slots=True)
class StudyIdentity:
    """What must be the same for a search to be continued.

    Args:
        name: of the study.
        objectives: their names, all maximised.
        fixed: key of the specification → value (or digest); JSON values.
        specification: as the person gave it, to be shown later.
    """

    name: str
    objectives: tuple[str, ...]
    fixed: Mapping[str, Any]
    specification: Mapping[str, Any]


def check_continues(engine: Engine, identity: StudyIdentity) -> None:
    """Refuse what the driver of a study would refuse, without opening the study.

    Raises:
        SpecificationError: the study exists, of another search.
    """
    with engine.connect() as connection:
        stored = connection.execute(_STORED, {"name": identity.name, "key": ATTRIBUTE}).scalar_one_or_none()
    if stored is not None:
        check_same(identity, json.loads(stored))


def check_same(identity: StudyIdentity, stored: Mapping[str, Any]) -> None:
    """Refuse to continue a study as another search.

    Raises:
        SpecificationError: naming the keys that differ.
    """
    ours: dict[str, Any] = {"objectives": list(identity.objectives), **identity.fixed}
    theirs: dict[str, Any] = {"objectives": stored["objectives"], **stored["fixed"]}
    differing: Sequence[str] = [key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)]
    if differing:
        raise SpecificationError(
            f"The search '{identity.name}' exists with another {', '.join(f'`{key}`' for key in sorted(differing))}. "
            "Its trials cannot be continued with these: choose another `name`, or restore the old values."
        )
