"""What the programs and the rules of the pipeline share."""
