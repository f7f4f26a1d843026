"""The mathematics of the paper as functions of arrays, one module per topic."""
