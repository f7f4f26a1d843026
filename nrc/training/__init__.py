"""Training a stack of networks: warm starts, snapshots, checkpoints and the trained file."""
