"""Check a configuration and print all its settings, defaults filled in, as YAML."""

import argparse
import sys
from pathlib import Path

import yaml

from workflow.config.load import read_settings
from workflow.lib.program import program, run

PROJECT = Path(__file__).resolve().parents[2]


class _Dumper(yaml.SafeDumper):
    """Lists that are the same are written twice, without anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def main(arguments: argparse.Namespace) -> None:
    settings = read_settings([PROJECT / "config.yaml", *arguments.files])
    if dropped := settings.pop("dropped"):
        print(dropped, file=sys.stderr)
    print(yaml.dump(settings, None, _Dumper, sort_keys=False, default_flow_style=None, width=110), end="")


def arguments() -> argparse.ArgumentParser:
    parser = program(__doc__)
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="YAML overlay to read, as for snakemake --configfile; each changes what config.yaml and those "
        "before it say (default: config.yaml alone)",
    )
    return parser


if __name__ == "__main__":
    run(main, arguments())
