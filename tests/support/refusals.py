"""Errors of the library, which have one line."""

from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["refusal"]

LONGEST = 330


def refusal(call: Callable[..., Any], *arguments: Any, **settings: Any) -> str:
    """The line with which a call refuses its arguments."""
    with pytest.raises((TypeError, ValueError)) as error:
        call(*arguments, **settings)
    line = str(error.value)
    assert "\n" not in line
    assert len(line) < LONGEST
    return line
