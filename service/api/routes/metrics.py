"""The service in numbers, as Prometheus scrapes them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import exposition
from prometheus_client.openmetrics import exposition as openmetrics

from service.api.context import Context

router = APIRouter(tags=["health"])

_TEXT = {
    "description": "Prometheus' text format; OpenMetrics for a scraper that accepts it.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}


@router.get("/metrics", response_class=Response, operation_id="getMetrics", summary="Metrics", responses={200: _TEXT})
def get_metrics(context: Context, request: Request) -> Response:
    """Evaluations, failures, seconds by stage, workers and hypervolumes by search; searches by state; the cluster."""
    if "application/openmetrics-text" in request.headers.get("accept", ""):
        content: bytes = openmetrics.generate_latest(context.metrics)  # type: ignore[no-untyped-call]
        return _answer(content, openmetrics.CONTENT_TYPE_LATEST)
    return _answer(exposition.generate_latest(context.metrics), exposition.CONTENT_TYPE_PLAIN_0_0_4)


def _answer(content: bytes, media_type: str) -> Response:
    return Response(content, headers={"Content-Type": media_type})
