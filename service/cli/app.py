"""All commands under one name, and the one place where errors become exit codes."""

from __future__ import annotations

import sys
import traceback

import typer

from search_spaces.errors import ParetomergeError
from service.cli.compare import compare
from service.cli.dashboard import dashboard
from service.cli.database import database
from service.cli.demo import demo
from service.cli.evaluate import evaluate
from service.cli.export import export
from service.cli.front import front
from service.cli.plan import plan
from service.cli.search import search
from service.cli.synthesize import synthesize

app = typer.Typer(
    help="Search the merge coefficients of language models for the Pareto front of alignment against expertise.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (demo, synthesize, plan, search, front, compare, export, evaluate, dashboard):
    app.command()(command)
app.add_typer(database, name="database")


@app.callback()
def _options(debug: bool = typer.Option(False, "--debug", help="Show a traceback with every error.")) -> None:
    # Read again by `main`, which must know it also when the command line itself is wrong.
    pass


def main() -> None:
    """Run the command line; 2 for the user's mistake, 1 for a failure, 130 for Ctrl-C."""
    try:
        app()
    except (Exception, KeyboardInterrupt) as error:
        print(traceback.format_exc() if "--debug" in sys.argv else _told(error), file=sys.stderr)
        sys.exit(_exit_code(error))


def _exit_code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return 130
    return error.exit_code if isinstance(error, ParetomergeError) else 1


def _told(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Stopped."
    if isinstance(error, ParetomergeError):
        return f"Error: {error}"
    return f"Error: {type(error).__name__}: {error}\nThis was not foreseen; `--debug` shows where it happened."
