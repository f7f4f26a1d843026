"""The faults of the reliability tests: what is counted, and the table that it makes."""

import re
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["HEADER", "Faults", "rows_of"]

HEADER = (
    "| fault | tried | survived | results lost | work that is lost, and what to do |\n|---|---|---|---|---|\n"
)
PLACE = re.compile(r"(?<=<!-- faults -->\n).*?(?=<!-- end -->)", re.DOTALL)


@dataclass
class Faults:
    """Counts of a run of the tests."""

    rows: dict[str, list] = field(default_factory=dict)

    def __call__(self, fault: str, says: str, *, tried: int = 1, survived: int = 1) -> None:
        """Count one test of a fault.

        A fault is survived where the results afterwards equal the results of an undisturbed run, byte for
        byte; the tests fail where one is not.
        """
        row = self.rows.setdefault(fault, [0, 0, says])
        row[0] += tried
        row[1] += survived

    def write(self, page: Path) -> None:
        """Put the table in its place in a page."""
        lines = [
            f"| {fault} | {tried} | {survived} | {tried - survived} | {says} |\n"
            for fault, (tried, survived, says) in self.rows.items()
        ]
        text = page.read_text(encoding="utf-8")
        page.write_text(PLACE.sub(lambda _: HEADER + "".join(lines), text), encoding="utf-8")


def rows_of(page: Path) -> dict[str, list[str]]:
    """The rows of a page's table, by fault."""
    table = PLACE.search(page.read_text(encoding="utf-8"))[0]
    rows = [[part.strip() for part in line.strip("|\n ").split("|")] for line in table.splitlines()[2:]]
    return {fault: rest for fault, *rest in rows}
