"""The token, shown once for a cookie."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
