"""`make bench`: this engine beside the programs one would write without it, as docs/bench.md."""
