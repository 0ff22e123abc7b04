"""``impasto``, also ``python -m impasto``: the commands, and what users see when something goes wrong."""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from impasto import __version__
from impasto.cli import cache, demo, doctor, enlarge, evaluate, inspect, plan, rerun, resume, stylize, weights
from impasto.cli.interrupt import EXIT_INTERRUPTED
from impasto.cli.options import unwrapped
from impasto.cli.printable import printable
from impasto.errors import ImpastoError, is_out_of_memory

__all__ = ["app", "main", "run"]

EXAMPLES = """Examples:

impasto demo

impasto stylize photo.jpg painting.jpg

impasto stylize --help

impasto rerun painted.png --set strength=0.7

impasto doctor

Exit codes: 0 done; 1 the run failed; 2 an option, an input or an output cannot be used; 3 something has to be
installed or fetched first; 130 interrupted, with the picture so far saved.

Environment: IMPASTO_CACHE is the folder of "impasto cache", IMPASTO_WEIGHTS_DIR another one for weights; HTTPS_PROXY is
used for downloads; NO_COLOR switches colors off; IMPASTO_DEBUG=1 shows where a bug happened.
"""

STREAM_ERRORS = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF)
"""What happens to streams: their reader goes away, or the disk behind them is full."""

OF_THE_SYSTEM = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS)
"""What paths that people give can meet anywhere."""

app = typer.Typer(
    name="impasto",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("stylize", epilog=stylize.EXAMPLES)(stylize.stylize)
app.command("demo", epilog=demo.EXAMPLES)(demo.demo)
app.command("inspect", epilog=inspect.EXAMPLES)(inspect.inspect)
app.command("plan", epilog=plan.EXAMPLES)(plan.plan)
app.command("resume", epilog=resume.EXAMPLES, help=unwrapped(resume.resume.__doc__ or ""))(resume.resume)
app.command("enlarge", epilog=enlarge.EXAMPLES, help=unwrapped(enlarge.enlarge.__doc__ or ""))(enlarge.enlarge)
app.command("rerun", epilog=rerun.EXAMPLES, help=unwrapped(rerun.rerun.__doc__ or ""))(rerun.rerun)
app.command("evaluate", epilog=evaluate.EXAMPLES, help=unwrapped(evaluate.evaluate.__doc__ or ""))(evaluate.evaluate)
app.add_typer(weights.app, name="weights")
app.add_typer(cache.app, name="cache")
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.doctor)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"impasto {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True, epilog=unwrapped(EXAMPLES))
def impasto(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Neural style transfer: a photo and a painting in, the photo as that hand would have painted it out.

    Start with [bold]impasto demo[/bold]; [bold]impasto doctor[/bold] says what is missing.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> NoReturn:
    """Run the command line of this process, and end it."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; whatever goes wrong ends in a sentence on stderr."""
    _open_closed_streams()
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # PyTorch's remarks on the hardware are not for users
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = typer.main.get_command(app).main(list(arguments), prog_name="impasto", standalone_mode=False)
            sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except ImpastoError as error:
        return _fail(str(error), error.exit_code)
    except typer.TyperException as error:
        return _fail(_usage_message(error, arguments), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted.", EXIT_INTERRUPTED)
    except OSError as error:
        if error.errno not in STREAM_ERRORS:
            return _fail_unexpectedly(error, arguments)
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        return _fail(f"standard output cannot be written ({error.strerror}).", 1)
    except Exception as error:
        return _fail_unexpectedly(error, arguments)


def _open_closed_streams() -> None:
    """Python has None for a stream that is closed from the start, as some services do; write into nothing then."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the rest of the process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115


def _fail(message: str, code: int) -> int:
    typer.echo(f"impasto: {printable(message)}", err=True)
    return code


def _usage_message(error: typer.TyperException, arguments: Sequence[str]) -> str:
    """The message of a wrong command line, with the nearest names and where to read on."""
    message = error.format_message().partition(" (Possible options:")[0]
    if not message.endswith((".", "?")):
        message += "."
    possible = getattr(error, "possibilities", None)
    if possible:
        message += f" Did you mean '{possible[0]}'?"
    if message.startswith("Got unexpected extra argument") and "stylize" in arguments:
        message += " The output goes after -o."
    is_at_root = arguments[:1] not in (["weights"], ["cache"])
    if message.startswith("No such command") and "Did you mean" not in message and arguments[1:] and is_at_root:
        message += f" Did you mean 'impasto stylize {' '.join(arguments[:2])}'?"
    context = getattr(error, "ctx", None)
    return f"{message} See '{context.command_path if context else 'impasto'} --help'."


def _fail_unexpectedly(error: Exception, arguments: Sequence[str]) -> int:
    how = "Please report it with what IMPASTO_DEBUG=1 in the environment, or -v, prints."
    if os.environ.get("IMPASTO_DEBUG") or any(re.fullmatch(r"-[a-z]*v[a-z]*|--verbose", word) for word in arguments):
        traceback.print_exception(error)
        how = "Please report it with the above."
    if is_out_of_memory(error):
        return _fail("The memory does not suffice: close other programs, or use a smaller --size.", 1)
    if isinstance(error, OSError) and error.filename and error.errno in OF_THE_SYSTEM:
        return _fail(f"'{error.filename}' cannot be used ({error.strerror}): check the path.", 2)
    return _fail(f"This is a bug in impasto: {type(error).__name__}: {error}. {how}", 1)
