"""The front and its hypervolume."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
