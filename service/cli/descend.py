"""`paretomerge descend`: a recipe by descent on prompts without labels, as AdaMerging and Expert Merging make it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search_spaces.errors import SpecificationError
from service.cli.consoles import messages, print_json
from service.cli.import_file import write_new
from service.cli.paths import path_option


def descend(  # noqa: PLR0913, PLR0917  a command's options are its parameters
    specification: Annotated[Path, typer.Argument(help="The specification, a YAML file.")],
    by: Annotated[str, typer.Option(help="ada_merging, expert_merging or expert_merging_pp.")] = "ada_merging",
    to: Annotated[Path | None, path_option("The new recipe; without it, it is printed.")] = None,
    prompts: Annotated[int, typer.Option(min=1, help="Of each set, the first so many.")] = 8,
    steps: Annotated[int, typer.Option(min=1, help="Of the optimiser.")] = 50,
    learning_rate: Annotated[float, typer.Option(help="Of the optimiser, in units of the weights.")] = 0.01,
    teacher: Annotated[
        list[str] | None, typer.Option(help="EXPERT=OBJECTIVE: whose prompts an expert teaches; once for each.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print losses and cost as JSON.")] = False,
) -> None:
    """Find weights by gradients of a loss without labels, and write them as a mergekit recipe.

    AdaMerging (arXiv:2310.02575) makes predictions sure, Expert Merging (arXiv:2509.25712) makes them those of each
    expert on its own prompts; ++ spends groups where they matter. One recipe each, in one process, and no front.
    """
    from search_spaces import to_mergekit
    from service.search import prepare_search
    from service.search.model_descents import DescentRequest, descend
    from service.specification import load_specification

    request = DescentRequest(by, prompts, steps, learning_rate, _teachers(teacher or []))
    found = descend(prepare_search(load_specification(specification)), request)
    recipe = to_mergekit(found.recipe)
    if to is not None:
        write_new(to, recipe)
    if json:
        values = {"losses": list(found.losses), "cost_evaluations": found.cost}
        print_json(values | ({} if to is not None else {"recipe": recipe}))
        return
    messages.print(
        f"{by}: loss {found.losses[0]:.4f} at first, {found.losses[-1]:.4f} at last, "
        f"for {found.cost:.1f} evaluations' worth of tokens",
        soft_wrap=True,
    )
    if to is None:
        print(recipe, end="")


def _teachers(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for text, (expert, _, objective) in zip(given, pairs, strict=True):
        if not expert or not objective:
            raise SpecificationError(f"`--teacher` must be EXPERT=OBJECTIVE, but got '{text}'.")
    return {expert: objective for expert, _, objective in pairs}
