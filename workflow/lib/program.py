"""How every command-line program runs: settings as a file or text, output in a log, errors in one line."""

import argparse
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from workflow.lib.out_of_memory import out_of_memory_error

__all__ = ["add_file", "at_least_one", "program", "run"]


EXIT_CODES = """exit codes: 0 done; 1 an error, told in one line; 2 the command line is wrong"""


def program(description: str | None, settings: str | None = None) -> argparse.ArgumentParser:
    """A parser with the options that every program has.

    Parameters
    ----------
    description : str
        What the program does, its docstring.
    settings : str, optional
        Which settings it takes, if it takes them as a file or text.
    """
    parser = argparse.ArgumentParser(description=description, epilog=EXIT_CODES)
    if settings:
        parser.add_argument(
            "--settings",
            type=_settings,
            required=True,
            metavar="FILE|JSON",
            help=f"{settings}: a JSON or YAML file, or JSON text",
        )
        parser.add_argument(
            "--log",
            type=Path,
            metavar="FILE",
            help="text file to write: all that the program says, tracebacks too (default: none)",
        )
    parser.add_argument(
        "--debug", action="store_true", help="show the traceback of an error (default: its one line)"
    )
    return parser


def add_file(parser: argparse.ArgumentParser, name: str, about: str, **how: Any) -> None:
    """Add an option that names a file, which must be given.

    Parameters
    ----------
    parser : ArgumentParser
    name : str
        Of the option.
    about : str
        What the file is, and whether it is read or written.
    **how
        What is otherwise, as for `add_argument`: several files by `nargs="+"`.
    """
    parser.add_argument(name, **{"type": Path, "required": True, "metavar": "FILE", "help": about} | how)


def run(main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Run a program; what a user can mend is told in one line, without a traceback.

    With a log all output of the process goes there, the traceback of an error too. The terminal gets the
    error alone; not even that where NRC_ERRORS of the environment is `log`.
    """
    arguments = parser.parse_args()
    log = getattr(arguments, "log", None)
    terminal = _open_log(log)
    try:
        main(arguments)
    except Exception as error:
        if log is not None:
            traceback.print_exc()
            print(f"Error: {_in_words(error)}", file=sys.stderr)
        if log is None or os.environ.get("NRC_ERRORS") != "log":
            if arguments.debug:
                traceback.print_exc(file=terminal)
            where = "" if log is None else f"\n  log: {log}"
            print(f"Error: {_in_words(error)}{where}", file=terminal, flush=True)
        sys.exit(1)


def at_least_one(text: str) -> int:
    """The number that an argument is."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no integer of at least 1")
    return int(text)


class _Missing(LookupError):
    """A setting that a program needs."""


class _Settings(dict[str, Any]):
    """Settings, which say so where one is missing."""

    def __missing__(self, key: str) -> Any:
        raise _Missing(
            f"{key!r} is missing in the settings; show_settings.py prints settings that are complete"
        )


def _settings(text: str) -> Any:
    try:
        settings = json.loads(text, object_hook=_Settings)
    except json.JSONDecodeError:
        settings = json.loads(json.dumps(_read(text)), object_hook=_Settings)
    if not isinstance(settings, dict):
        raise argparse.ArgumentTypeError(f"{text!r} holds {settings!r}, but must hold a mapping of settings")
    return settings


def _read(text: str) -> Any:
    try:
        return yaml.safe_load(Path(text).read_text(encoding="utf-8"))
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither JSON nor a file that can be read ({error.strerror})"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(
            f"{text} holds neither JSON nor YAML ({' '.join(str(error).split())})"
        ) from None


def _open_log(log: Path | None) -> Any:
    """Send all output to the log, if there is one; return the terminal."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if log is None:
        return sys.stderr
    log.parent.mkdir(parents=True, exist_ok=True)
    terminal = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1)
    with log.open("wb") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    return terminal


def _in_words(error: Exception) -> str:
    if want := out_of_memory_error(error):
        first = str(want).partition("\n")[0] or type(want).__name__
        return f"not enough memory ({first}); give the job more (mem_mb), or fewer networks (stack)"
    if isinstance(error, OSError | ValueError | _Missing):
        return str(error)
    return f"{type(error).__name__}: {error} (a fault of the program)"
