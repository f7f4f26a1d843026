"""The paper's claims as statistics, each with parts, and verdicts by limits."""
