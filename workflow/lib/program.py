"""Command-line programs: options from the signature of `main`, output in a log, errors in one line.

A program imports this module before packages that take seconds, so that Ctrl-C ends it without a traceback.
"""

import argparse
import inspect
import json
import logging
import os
import signal
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType, UnionType
from typing import Any, Literal, NamedTuple, TextIO, get_args, get_origin, get_type_hints

import yaml

import nrc
from nrc.text import first_line
from nrc.training.out_of_memory import out_of_memory_error
from workflow.lib.error_lines import are_left_in_logs, error_line

__all__ = ["Option", "Settings", "at_least_one", "call", "parser_of", "run"]

EXIT_CODES = "exit codes: 0 done; 1 an error, printed in one line; 2 the command line is wrong"


class _MissingSetting(LookupError):
    """A setting that a program needs is not given."""


class Settings(dict[str, Any]):
    """Settings of a program, from a JSON or YAML file or from JSON text."""

    def __missing__(self, key: str) -> Any:
        raise _MissingSetting(
            f"{key!r} is missing in the settings; show_settings.py prints settings that are complete"
        )


class Option(NamedTuple):
    """How an option is read, where its type alone does not say it.

    Parameters
    ----------
    help : str
        What the option is.
    read : callable
        Makes the value from the text; raises `argparse.ArgumentTypeError` if it cannot.
    metavar : str, optional
        Placeholder of the value in the help.
    """

    help: str
    read: Callable[[str], Any]
    metavar: str | None = None


def at_least_one(text: str) -> int:
    """Read a positive integer."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 1")
    return int(text)


def parser_of(main: Callable[..., None]) -> argparse.ArgumentParser:
    """The parser of a program, from the signature of its function `main`.

    Each parameter is an option, whose name has hyphens for underscores. Its annotation is
    ``Annotated[type, help]``, or ``Annotated[type, Option]``. A parameter without a default must be given; a
    list takes several values; ``*files`` are arguments without a name. Every program has the options
    ``--log`` and ``--debug``; a `main` that needs the name of its log has a parameter `log`.

    Examples
    --------
    >>> from typing import Annotated
    >>> def main(output: Annotated[Path, "file to write"], times: Annotated[int, "how often"] = 2): ...
    >>> parser_of(main).parse_args(["--output", "a.nc"])
    Namespace(output=PosixPath('a.nc'), times=2, log=None, debug=False)
    """
    parser = argparse.ArgumentParser(
        description=inspect.cleandoc(main.__globals__["__doc__"]), epilog=EXIT_CODES
    )
    hints = get_type_hints(main, include_extras=True)
    for name, parameter in inspect.signature(main).parameters.items():
        if name != "log":
            _add_option(parser, parameter, hints[name])
    parser.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="text file to write: all output of the program, tracebacks too (default: none)",
    )
    parser.add_argument(
        "--debug", action="store_true", help="print the traceback of an error (default: one line)"
    )
    return parser


def call(main: Callable[..., None], options: Mapping[str, Any] | Sequence[str]) -> None:
    """Call `main` with a command line, or with the options that its parser has read."""
    if not isinstance(options, Mapping):
        options = vars(parser_of(main).parse_args(options))
    parameters = inspect.signature(main).parameters
    positional: list[Any] = []
    for name, parameter in parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional += options[name]
    main(*positional, **{name: value for name, value in options.items() if _is_named(parameters.get(name))})


def run(main: Callable[..., None]) -> None:
    """Run a program on its command line; an error ends it with one line, without a traceback.

    With a log all output of the process goes there, after its settings and before the processor time that it
    took, and the traceback of an error too.
    The terminal gets only the error, and nothing where errors are left in logs (`workflow.lib.error_lines`).
    """
    options = vars(parser_of(main).parse_args())
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # from here on an interrupt may clean up
        signal.signal(signal.SIGINT, signal.default_int_handler)
    log = options["log"]
    terminal = _open_log(log)
    if log is not None and "settings" in options:  # a dry run compares them with the settings of the next run
        print(f"settings: {json.dumps(options['settings'])}", flush=True)
    try:
        call(main, options)
    except Exception as error:
        if log is not None:
            traceback.print_exc()
            print(error_line(_in_words(error)), file=sys.stderr)
        if log is None or not are_left_in_logs():
            if options["debug"]:
                traceback.print_exc(file=terminal)
            print(error_line(_in_words(error), log), file=terminal, flush=True)
        sys.exit(1)
    if log is not None:  # `make bench` sums them
        print(f"processor seconds: {sum(os.times()[:4]):.2f}", flush=True)


def _print_unless_interrupted(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _print_unless_interrupted

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def _end_imports_at_once() -> None:
    """Let Ctrl-C end a program that imports, because libraries turn a KeyboardInterrupt into other errors."""
    program = Path(getattr(sys.modules["__main__"], "__file__", None) or "").resolve()
    if program.parent == SCRIPTS and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


_end_imports_at_once()


def _is_named(parameter: inspect.Parameter | None) -> bool:
    return parameter is not None and parameter.kind is not parameter.VAR_POSITIONAL


def _add_option(parser: argparse.ArgumentParser, parameter: inspect.Parameter, hint: Any) -> None:
    kind, about = get_args(hint)
    default = parameter.default
    required = default is parameter.empty
    several = get_origin(kind) is list
    if several or isinstance(kind, UnionType):  # the type of an element, or the type other than None
        kind = get_args(kind)[0]
    option = about if isinstance(about, Option) else Option(about, *_reader_of(kind))
    how: dict[str, Any] = {"type": option.read, "metavar": option.metavar, "help": option.help}
    if get_origin(kind) is Literal:
        how |= {"type": str, "choices": get_args(kind), "metavar": None}
    if parameter.kind is parameter.VAR_POSITIONAL:
        parser.add_argument(parameter.name, nargs="*", **how)
        return
    if several:
        how["nargs"] = "+" if required else "*"
    elif default is None:  # a rule gives the option with the name of no file
        how["nargs"] = "?"
    if not required:
        how["default"] = default
        how["help"] += f" (default: {default or 'none'})"
    parser.add_argument(f"--{parameter.name.replace('_', '-')}", required=required, **how)


def _reader_of(kind: Any) -> tuple[Callable[[str], Any], str | None]:
    """How text is read as a type, and the word for it in the help."""
    if kind is Settings:
        return _settings, "FILE|JSON"
    if kind in (Path, str):
        return kind, "FILE"
    return kind, "NUMBER"


def _settings(text: str) -> Settings:
    try:
        settings = json.loads(text, object_hook=Settings)
    except json.JSONDecodeError:
        settings = json.loads(json.dumps(_read(text)), object_hook=Settings)
    if not isinstance(settings, Settings):
        raise argparse.ArgumentTypeError(f"{text!r} has {settings!r}, but must have a mapping of settings")
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
            f"{text} is neither JSON nor YAML ({' '.join(str(error).split())})"
        ) from None


def _open_log(log: Path | None) -> TextIO:
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
    if memory_error := out_of_memory_error(error):
        first = first_line(memory_error) or type(memory_error).__name__
        return f"not enough memory ({first}); give the job more (mem_mb), or fewer networks (stack)"
    if place := _place_in_code_of_user(error):
        return f"{place}: {type(error).__name__}: {first_line(error)}"
    if isinstance(error, OSError | ValueError | _MissingSetting):
        return str(error)
    return f"{type(error).__name__}: {error} (a bug in the program)"


def _place_in_code_of_user(error: Exception) -> str | None:
    """File and line in which an error was raised, if it was by code that is no part of this project."""
    own = [Path(__file__).resolve().parents[1], Path(nrc.__file__).resolve().parent]
    libraries = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename).resolve()
        if any(folder in path.parents for folder in own):
            return None
        if path.is_file() and not any(folder in path.parents for folder in libraries):
            return f"{frame.filename}, line {frame.lineno}"
    return None
