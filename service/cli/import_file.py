"""`paretomerge import`: a file of mergekit's as a specification."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search_spaces.errors import ExportError, SpecificationError
from service.cli.consoles import messages
from service.cli.paths import path_option


def import_file(
    file: Annotated[Path, typer.Argument(help="A mergekit recipe, or a configuration of mergekit-evolve.")],
    to: Annotated[Path | None, path_option("The new specification; without it, it is printed.")] = None,
    granularity: Annotated[str, typer.Option(help="Of the search, in place of the coarsest that fits the file.")] = "",
    safety: Annotated[Path | None, path_option("A set for the objective alignment: prompt, answer, rejected.")] = None,
    domain: Annotated[Path | None, path_option("A set for the objective expertise: prompt, answer.")] = None,
    include_path: Annotated[Path | None, path_option("A folder of task YAMLs of your own.")] = None,
) -> None:
    """Translate a mergekit file into a specification, and say what could not be."""
    from service.mergekit.imported import ImportOptions
    from service.mergekit.importing import import_file as translate

    found = translate(file, ImportOptions(granularity, safety, domain, include_path))
    text = found.to_yaml(file)
    if to is None:
        print(text, end="")
    else:
        write_new(to, text)
    for note in found.notes:
        messages.print(f"- {note}", style="yellow", soft_wrap=True, markup=False)
    if to is not None:
        messages.print(f"Wrote {to}. Next: paretomerge plan {to}", soft_wrap=True)


def write_new(path: Path, text: str) -> None:
    """Write a text file that does not exist yet.

    Raises:
        SpecificationError: it exists.
        ExportError: it cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise SpecificationError(
            f"`--to` must be a new file, but '{path}' exists. Remove it or name another."
        ) from None
    except OSError as error:
        raise ExportError(f"The file must be written to '{path}', but cannot be: {error}") from None
