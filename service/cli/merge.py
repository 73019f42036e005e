"""`paretomerge merge`: the merge of a mergekit recipe as a Hugging Face folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.consoles import messages, results, seconds
from service.cli.paths import path_option


def merge(
    recipe: Annotated[Path, typer.Argument(help="A mergekit recipe, a YAML file.")],
    to: Annotated[Path, path_option("The new folder.")],
    dtype: Annotated[
        str, typer.Option(help="Of the merge: float32, bfloat16 or float16; by default the recipe's, or its base's.")
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of random masks.")] = 0,
    max_shard_size: Annotated[str, typer.Option(help="Largest safetensors file.")] = "5GB",
) -> None:
    """Merge the models of a mergekit recipe, once, without a search."""
    import time
    from dataclasses import replace

    from service.exports import RecipeExport, export_recipe
    from service.mergekit.recipe_file import RecipeFile

    started = time.perf_counter()
    file = RecipeFile.read(recipe)
    found = file.recipe()
    found = replace(found, seed=seed, dtype=dtype or found.dtype)
    for note in file.notes:
        messages.print(note, style="yellow", soft_wrap=True)
    messages.print(f"Merging {', '.join(file.notations)} by {found.method} in {found.dtype}", soft_wrap=True)
    export_recipe(RecipeExport(file, found, to, max_shard_size))
    messages.print(f"Merged in {seconds(time.perf_counter() - started)}.")
    results.print(str(to), soft_wrap=True)
