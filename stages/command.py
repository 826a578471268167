"""What every stage command shares: its arguments, and what the shell sees when it ends."""

from __future__ import annotations

import errno
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from amoc.engine.interruption import Interrupted
from amoc.params import PROFILES
from amoc.refusal import Refusal, out_of_memory

ProfileArgument = Annotated[Literal[PROFILES], typer.Argument(help="Which images, and how large everything is.")]
DatasetArgument = Annotated[str, typer.Argument(help="A data set by its role: cifar10 or cifar100.")]
RunArgument = Annotated[str, typer.Argument(help="An encoder: a key of `runs` in params.yaml.")]
ModelArgument = Annotated[str, typer.Argument(help="A whole network: a key of `classifiers` in params.yaml.")]
OutputOption = Annotated[
    Path, typer.Option("--output", help="Folder below which to write, instead of the project's.", show_default=False)
]
AnywayOption = Annotated[
    bool, typer.Option("--anyway", envvar="AMOC_ANYWAY", help="Start even if it would take too long on a CPU.")
]

USER_ERROR = 2  # exit status of what the user can mend, the one that shells use for wrong arguments
FULL = (errno.ENOSPC, errno.EDQUOT)  # a disk


def run(main: Callable[..., None]) -> None:
    """Run `main` as this process's command: its parameters are the arguments, its docstring is the help.

    Exit status 0; 2 with one sentence on stderr for a Refusal, a full disk or full memory, or wrong arguments;
    128 + signal after an interruption that saved its state; 130 after Ctrl-C; 1 with the traceback for a bug.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(main)
    gc.freeze()  # what was imported is no garbage: a look through it takes a second, and Python would end with one
    gc.enable()
    try:
        app()
    except Refusal as refusal:
        _leave(USER_ERROR, str(refusal))
    except Interrupted as interrupted:
        _leave(128 + interrupted.signal, "interrupted; the same command goes on from what is saved")
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        _leave(USER_ERROR, "out of memory: free some, or choose a smaller profile")
    except OSError as error:
        if error.errno not in FULL:
            raise
        _leave(USER_ERROR, f"no space left on the disk for {error.filename or 'the output'}: free some and start again")


def _leave(status: int, sentence: str) -> NoReturn:
    print(f"{Path(sys.argv[0]).stem}: {sentence}", file=sys.stderr)
    sys.exit(status)
