"""`paretomerge cocktail`: LM-Cocktail's average of a search's models as a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.cluster_option import RayAddress, on_cluster
from service.cli.consoles import messages, print_json, results
from service.cli.import_file import write_new
from service.cli.paths import path_option


def cocktail(  # noqa: PLR0913, PLR0917  a command's options are its parameters
    specification: Annotated[Path, typer.Argument(help="The specification, a YAML file.")],
    temperature: Annotated[float, typer.Option(help="The higher, the more alike the weights.")] = 1.0,
    examples: Annotated[int | None, typer.Option(min=1, help="Only so many of each set, the first.")] = None,
    base: Annotated[bool, typer.Option("--base", help="Let the base have a weight, too.")] = False,
    to: Annotated[Path | None, path_option("The new recipe; without it, it is printed.")] = None,
    ray_address: RayAddress = "",
    json: Annotated[bool, typer.Option("--json", help="Print losses and weights as JSON.")] = False,
) -> None:
    """Weigh the models by their losses on the search's examples, and write the average as a mergekit recipe.

    The weights are those of LM-Cocktail (arXiv:2311.13534): softmax of -loss / temperature.
    """
    from search_spaces import to_mergekit
    from search_spaces.recipe_sources import cocktail_weights
    from service.search import prepare_search
    from service.search.model_losses import answer_sets, average_of, model_losses
    from service.specification import load_specification

    prepared = prepare_search(on_cluster(load_specification(specification), ray_address))
    measures = answer_sets(prepared, examples)
    models = [name for name in prepared.models if base or name in prepared.space.experts]
    cocktail_weights(dict.fromkeys(models, 0.0), temperature)  # a temperature that cannot be is told at once
    losses = model_losses(prepared, models, measures, _tell)
    weights = cocktail_weights(losses, temperature)
    recipe = to_mergekit(average_of(prepared, weights))
    if to is not None:
        write_new(to, recipe)
    _show(recipe if to is None else None, losses, weights, json)


def _tell(model: str) -> None:
    messages.print(f"Scoring {model}", soft_wrap=True)


def _show(recipe: str | None, losses: dict[str, float], weights: dict[str, float], json: bool) -> None:
    """Losses and weights, as a result where the recipe is none."""
    if json:
        values: dict[str, Any] = {"losses": losses, "weights": weights}
        print_json(values | ({"recipe": recipe} if recipe is not None else {}))
        return
    console = results if recipe is None else messages
    for model, loss in losses.items():
        console.print(f"{model:30} loss {loss:8.4f}  weight {weights[model]:8.4f}", soft_wrap=True)
    if recipe is not None:
        print(recipe, end="")
