"""Minimising many independent functions at once, one per cell of a stack."""
