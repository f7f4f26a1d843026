"""Check a configuration and print all its settings, defaults filled in, as YAML."""

import sys
from pathlib import Path
from typing import Annotated

from workflow.lib.program import run

import yaml

from workflow.config.load import read_settings

PROJECT = Path(__file__).resolve().parents[2]


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes equal lists twice, instead of an anchor."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def main(
    *files: Annotated[
        Path,
        "YAML overlay to read, as for snakemake --configfile; each overrides config.yaml and the overlays "
        "before it (default: config.yaml alone)",
    ],
) -> None:
    settings = read_settings([PROJECT / "config.yaml", *files])
    if removed := settings.pop("removed"):
        print(removed, file=sys.stderr)
    print(yaml.dump(settings, None, _Dumper, sort_keys=False, default_flow_style=None, width=110), end="")


if __name__ == "__main__":
    run(main)
