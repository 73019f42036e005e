"""Exports: asked for, and how far they are."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
