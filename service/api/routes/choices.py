"""What a specification may name here."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
