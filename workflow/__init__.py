"""The Snakemake pipeline: what its rules and its programs import."""
