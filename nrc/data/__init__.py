"""Data sets: points in rows, features in columns."""
