"""All commands under one name, and the one place where errors become exit codes."""

from __future__ import annotations

import gc
import sys
import traceback
from typing import Annotated

import typer

from search_spaces.errors import ParetomergeError
from service.cli.cocktail import cocktail
from service.cli.compare import compare
from service.cli.dashboard import dashboard
from service.cli.database import database
from service.cli.demo import demo
from service.cli.descend import descend
from service.cli.evaluate import evaluate
from service.cli.export import export
from service.cli.front import front
from service.cli.import_file import import_file
from service.cli.merge import merge
from service.cli.methods import methods
from service.cli.plan import plan
from service.cli.search import search
from service.cli.serve import serve
from service.cli.server import CommandHere
from service.cli.stop import stop
from service.cli.synthesize import synthesize
from service.client.environment import SERVER_VARIABLE

app = typer.Typer(
    help="Search the merge coefficients of language models for the Pareto front of alignment against expertise.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# Those that a service answers too; the rest works on this machine only.
_REMOTE = (search, front, export, stop)
for command in (
    demo,
    methods,
    synthesize,
    plan,
    search,
    stop,
    front,
    compare,
    export,
    evaluate,
    merge,
    cocktail,
    descend,
    dashboard,
    serve,
):
    app.command(cls=None if command in _REMOTE else CommandHere)(command)
app.command("import", cls=CommandHere)(import_file)
app.add_typer(database, name="database")


@app.callback()
def _options(
    context: typer.Context,
    server: Annotated[
        str,
        typer.Option(
            metavar="URL",
            envvar=SERVER_VARIABLE,
            help="A service to search, stop, front and export there; PARETOMERGE_TOKEN holds its token.",
        ),
    ] = "",
    # Read again by `main`, which must know it also when the command line itself is wrong.
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with every error.")] = False,
) -> None:
    context.obj = server.strip()


def main() -> None:
    """Run the command line; 2 for the user's mistake, 1 for a failure, 130 for Ctrl-C."""
    try:
        app()
    except SystemExit as exit:
        # Typer makes this of Ctrl-C without a word. A command that says where it stopped raises it by itself.
        if isinstance(getattr(exit.__context__, "__cause__", None), KeyboardInterrupt):
            print(_told(KeyboardInterrupt()), file=sys.stderr)
        raise
    except (Exception, KeyboardInterrupt) as error:
        print(traceback.format_exc() if "--debug" in sys.argv else _told(error), file=sys.stderr)
        sys.exit(_exit_code(error))
    finally:
        gc.freeze()  # else the interpreter's end goes through all of torch once more, for more than a second


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
