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

__all__ = ["program", "run"]


def program(description: str | None, settings: str) -> argparse.ArgumentParser:
    """A parser with the options that every program has.

    Parameters
    ----------
    description : str
        What the program does, its docstring.
    settings : str
        Which settings it takes.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--settings",
        type=_settings,
        required=True,
        metavar="FILE|JSON",
        help=f"{settings}: a JSON or YAML file, or JSON text",
    )
    parser.add_argument(
        "--log", type=Path, metavar="FILE", help="file that takes all the program says (default: none)"
    )
    return parser


def run(main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Run a program; what a user can mend is told in one line, without a traceback.

    With a log, all output of the process goes there; reports of progress and the error also go to
    the terminal. The log holds the traceback too.
    """
    arguments = parser.parse_args()
    terminal = _open_log(arguments.log)
    try:
        main(arguments)
    except (OSError, ValueError, MemoryError, KeyError) as error:
        _end(_in_words(error), arguments.log, terminal)
    except Exception as error:
        _end(f"{type(error).__name__}: {error} (a fault of the program)", arguments.log, terminal)


def _settings(text: str) -> Any:
    try:
        settings = json.loads(text)
    except json.JSONDecodeError:
        settings = _read(text)
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
    """Send all output to the log, if there is one, and reports to the terminal too; return the terminal."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if log is None:
        return sys.stderr
    log.parent.mkdir(parents=True, exist_ok=True)
    terminal = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1)
    with log.open("wb") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    logging.getLogger().addHandler(logging.StreamHandler(terminal))
    return terminal


def _in_words(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"not enough memory ({error}); give the job more (mem_mb), or fewer networks (stack)"
    if isinstance(error, KeyError):
        return f"{error} is missing in the settings; show_settings.py prints settings that are complete"
    return str(error)


def _end(message: str, log: Path | None, terminal: Any) -> None:
    """End with the message on the terminal and in the log, and the log's path on the terminal."""
    if log is not None:
        traceback.print_exc()
        print(f"Error: {message}", file=sys.stderr)
        message += f"\n  log: {log}"
    print(f"Error: {message}", file=terminal, flush=True)
    sys.exit(1)
