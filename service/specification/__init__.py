"""The specification of a search: one YAML file, checked whole before anything is loaded."""

from __future__ import annotations

from service.specification.loading import (
    check_specification,
    load_specification,
    parse_specification,
    read_specification,
    restore_specification,
)
from service.specification.schema import MeasureSection, Specification, WorkersSection
from service.specification.synthesis_schema import SynthesisSection

__all__ = [
    "MeasureSection",
    "Specification",
    "SynthesisSection",
    "WorkersSection",
    "check_specification",
    "load_specification",
    "parse_specification",
    "read_specification",
    "restore_specification",
]
