"""How every command-line program runs: what a user can mend is told in one line, without a traceback."""

import logging
from collections.abc import Callable

__all__ = ["run"]


def run(main: Callable[[], None]) -> None:
    """Run a program. A file that cannot be read or written, or too little memory, ends it with one line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        main()
    except OSError as error:
        raise SystemExit(str(error)) from None
    except MemoryError as error:
        raise SystemExit(
            f"not enough memory ({error}); give the job more (mem_mb), or fewer networks (stack)"
        ) from None
