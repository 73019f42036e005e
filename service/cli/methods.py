"""`paretomerge methods`: the merge methods, what each takes, and how it agrees with mergekit."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from service.cli.consoles import print_json, results
from service.methods import HEADINGS, MethodRow, ParityRecord, as_markdown, method_rows, read_record


def methods(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a table in markdown.")] = False,
) -> None:
    """List the merge methods: parameters and their bounds, parity with mergekit, references."""
    record = read_record()
    rows = method_rows(record)
    if json:
        print_json(_plain(rows, record))
    elif markdown:
        print(as_markdown(rows))
    else:
        results.print(_table(rows, record))


def _table(rows: list[MethodRow], record: ParityRecord) -> Table:
    table = Table(*HEADINGS, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*row.cells())
    table.caption = f"compared with mergekit {record.mergekit} on torch {record.torch}, {record.date}"
    table.caption_justify = "left"
    return table


def _plain(rows: list[MethodRow], record: ParityRecord) -> dict[str, object]:
    measured = {name: asdict(found) for name, found in record.methods.items()}
    return {
        "compared": {"mergekit": record.mergekit, "torch": record.torch, "date": record.date},
        "methods": [{**asdict(row), "parity": measured.get(row.method)} for row in rows],
    }
