"""What a run prints, by Snakemake's interface of logger plugins: ``snakemake --logger nrc``.

`terminal` decides what is printed and when, `progress` has the words beside the bar, `summary` has the lines
at the end, and `dry_run` has the lines of a dry run.
"""

from snakemake_logger_plugin_nrc.terminal import LogHandler

__all__ = ["LogHandler"]
