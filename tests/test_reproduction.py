"""The page on what is reproduced has the settings of the configuration and the numbers of the last run."""

import json
import re

from support.checkout import PROJECT
from tools.reproduction import PAGE, settings_table

TEXT = PAGE.read_text(encoding="utf-8")
STATEMENTS = (
    "Abstract",
    *(f"Figure {number}" for number in range(1, 6)),
    *("Proposition 3.1", "Lemma 3.3", "Theorem 3.4"),
    *("Proposition 4.1", "Theorem 5.1", "Theorem 5.3", "Theorem 5.4"),
)


def row(statement: str) -> str:
    return re.search(rf"^\| \[?{statement}\b.*$", TEXT, re.MULTILINE)[0]


def test_the_settings_are_those_of_the_configuration():
    settings = f"<!-- settings -->\n{settings_table()}\n<!-- /settings -->"
    assert settings in TEXT, "run `python -m tools.reproduction`"


def test_each_statement_has_a_row_with_all_columns():
    for statement in STATEMENTS:
        assert row(statement).count(" | ") == 5, statement


def test_numbers_of_the_theorems_are_those_of_the_last_run():
    findings = json.loads((PROJECT / "docs/findings.json").read_text(encoding="utf-8"))
    plane, audit = findings["plane"], {line["statement"]: line for line in findings["audit"]}
    assert f"between {plane['below']:.1%} and {plane['above']:.0%}" in row("Figure 1")
    certificates = row("Theorem 3.4")
    assert plane["analytic"] == 0
    assert f"in {plane['analytic below the norm']:,} of {plane['layers']:,} layers" in certificates
    measured = plane["certified"]["bound_measured"]
    assert f"certifies {measured:,} of the {plane['collapsed']:,} layers" in certificates
    assert plane["certified"]["bound_projected"] == plane["collapsed"]
    for statement in ("Proposition 3.1", "Theorem 3.4, measured", "Theorem 5.3, trained", "Theorem 5.4"):
        assert f"{audit[statement]['checked']:,} checks" in row(statement.split(",")[0])
    for statement in ("Proposition 4.1", "Theorem 5.3", "Theorem 5.4"):
        ratio = audit[statement if statement in audit else f"{statement}, trained"]["median_ratio"]
        assert f"{100 * ratio:.0f}% of the bound" in row(statement)
    assert findings["audit"][-1]["checked"] == 0, "a statement is violated"
