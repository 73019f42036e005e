"""A selected merge as a Hugging Face folder that says where it comes from."""

from __future__ import annotations

from service.exports.export import ExportedMerge, export_merge
from service.exports.export_request import ExportRequest

__all__ = ["ExportRequest", "ExportedMerge", "export_merge"]
