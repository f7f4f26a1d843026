"""Figures: numbers drawn as tables, tables drawn as pictures."""
