"""A selected merge as a Hugging Face folder that says where it comes from."""

from __future__ import annotations

from service.exports.export import ExportedMerge, check_export, export_merge, is_exported
from service.exports.export_request import ExportRequest
from service.exports.partial_folders import remove_partial_exports
from service.exports.recipe_export import RecipeExport, export_recipe

__all__ = [
    "ExportRequest",
    "ExportedMerge",
    "RecipeExport",
    "check_export",
    "export_merge",
    "export_recipe",
    "is_exported",
    "remove_partial_exports",
]
