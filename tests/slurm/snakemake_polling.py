"""Snakemake that asks SLURM twice a second: the plugin waits longer each time, up to three minutes."""

import sys

from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor

Executor.next_seconds_between_status_checks = property(lambda self: 0.5, lambda self, value: None)
sys.exit(main())
