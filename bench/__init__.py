"""Timings of this engine beside programs that do not use it; `make bench` writes them to docs/bench.md."""
