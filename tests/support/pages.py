"""Code on the pages of the manual, done to a checkout as a reader would."""

import re

from support.checkout import PROJECT, Checkout

__all__ = ["done"]

STEP = re.compile(
    r"^<!-- (write|insert|replace) (\S+)(?: (?:before )?\"(.*)\")? -->\n```\w+\n((?:.*\n)*?)```$",
    re.MULTILINE,
)


def done(page: str, checkout: Checkout) -> int:
    """Write the files of a page and make its edits; return how many there were."""
    steps = STEP.findall((PROJECT / "docs" / page).read_text(encoding="utf-8"))
    for what, file, place, code in steps:
        if what == "write":
            (checkout.folder / file).write_text(code, encoding="utf-8")
        else:
            checkout.edit(file, place, code.removesuffix("\n") if what == "replace" else code + place)
    return len(steps)
