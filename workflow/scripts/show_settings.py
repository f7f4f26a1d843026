"""Check a configuration and print all its settings, defaults filled in, as YAML."""

import argparse
import sys
from pathlib import Path

import yaml

from pipeline.settings import ConfigurationError, read_settings

PROJECT = Path(__file__).resolve().parents[2]


class _Dumper(yaml.SafeDumper):
    """Lists that are the same are written twice, without anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def main(files: list[Path]) -> None:
    try:
        settings = read_settings([PROJECT / "config.yaml", *files])
    except ConfigurationError as error:
        sys.exit(f"Error: {error}")
    if dropped := settings.pop("dropped"):
        print(dropped, file=sys.stderr)
    print(yaml.dump(settings, None, _Dumper, sort_keys=False, default_flow_style=None, width=110), end="")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="overlay, as for snakemake --configfile; each changes what config.yaml and those before it say",
    )
    return parser


if __name__ == "__main__":
    main(arguments().parse_args().files)
