"""Searches: launched, listed, stopped and resumed."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
