"""Finished trials: paged, one by one, and in columns."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
