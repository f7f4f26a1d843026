"""Neural rank collapse: stacks of small networks trained until stationary, and what is measured on them."""

__version__ = "0.1.0"
