"""What a run prints, by Snakemake's interface of logger plugins: ``snakemake --logger nrc``."""

from snakemake_logger_plugin_nrc.terminal import LogHandler

__all__ = ["LogHandler"]
