"""Measures of networks, one module per topic."""
