"""Whether the service is alive, and able to work."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Response
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from service.api.context import Context
from service.api.schemas import Health
from service.registry import SupervisorRow

router = APIRouter(tags=["health"])

# The supervisor goes round each second; one that has started a cluster may be late.
_PULSE = timedelta(seconds=15)

_log = logging.getLogger("paretomerge.service")


@router.get("/healthz", operation_id="isAlive", summary="Whether the process answers")
def healthz() -> Health:
    """Always `ok`: for whoever would start the process again if it did not answer. It looks at nothing else."""
    return Health(status="ok", database="", supervisor="", cluster={})


@router.get(
    "/readyz",
    operation_id="isReady",
    summary="Whether the service can work",
    responses={503: {"model": Health, "description": "Database or supervisor are missing."}},
)
def readyz(context: Context, response: Response) -> Health:
    """Whether the database answers and the supervisor has gone round in the last 15 seconds."""
    health = _health(context.engine)
    response.status_code = 200 if health.status == "ok" else 503
    return health


def _health(engine: Engine) -> Health:
    try:
        with Session(engine) as session:
            row = session.get(SupervisorRow, 1)
    except SQLAlchemyError as error:
        _log.warning("The database does not answer: %s", str(error).strip().partition("\n")[0])
        return Health(status="unavailable", database="does not answer", supervisor="unknown", cluster={})
    beat_at = row.beat_at if row else None
    is_alive = beat_at is not None and datetime.now(UTC) - beat_at < _PULSE
    supervisor = "ok" if is_alive else "has never gone round" if beat_at is None else f"silent since {beat_at:%FT%TZ}"
    cluster = dict(row.cluster) | ({"message": row.message} if row.message else {}) if row else {}
    return Health(status="ok" if is_alive else "unavailable", database="ok", supervisor=supervisor, cluster=cluster)
