"""Writes the merge of a recipe as a Hugging Face folder, without a search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from search_spaces import MergeRecipe, to_mergekit
from service.exports.export_request import check_shard_size
from service.exports.model_card import recipe_card
from service.exports.partial_folders import open_to_readers, temporary_beside
from service.exports.provenance import recipe_provenance
from service.mergekit.recipe_file import RecipeFile
from workers.candidate_worker import CandidateWorker, WorkerSetup


@dataclass(frozen=True, slots=True)
class RecipeExport:
    """What to merge, and where to.

    Args:
        file: of the recipe.
        recipe: its merge.
        folder: the final name; must not exist.
        max_shard_size: as in `save_pretrained`.

    Raises:
        SpecificationError: the size is none.
    """

    file: RecipeFile
    recipe: MergeRecipe
    folder: Path
    max_shard_size: str = "5GB"

    def __post_init__(self) -> None:
        check_shard_size(self.max_shard_size)


def export_recipe(export: RecipeExport) -> None:
    """Merge in this process, into a temporary folder beside the final one, and rename it.

    Raises:
        SpecificationError: the folder exists.
        CheckpointError: a model cannot be read, or does not fit the base.
        CandidateError: the recipe has no merge, such as one whose weights sum to zero.
        ExportError: it cannot be written; nothing is left.
    """
    recipe = export.recipe
    with temporary_beside(export.folder) as folder:
        headers = export.file.headers(recipe)
        worker = CandidateWorker(WorkerSetup(recipe.folders, {}, recipe.dtype, tokenizer=recipe.tokenizer_source))
        worker.save(recipe, folder, export.max_shard_size)
        written = {
            "recipe.yaml": to_mergekit(recipe),
            "provenance.json": recipe_provenance(recipe, headers, export.file.text),
            "README.md": recipe_card(export.folder.name, recipe),
        }
        for name, text in written.items():
            (folder / name).write_text(text, encoding="utf-8")
        open_to_readers(folder)
        folder.rename(export.folder)
