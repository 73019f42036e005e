"""Whether the service is alive, and able to work."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
