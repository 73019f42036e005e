"""The page and what it is made of."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
