"""The configuration: read, merged, checked and completed."""
