"""Torch modules of users: their inputs, targets, losses, layers, chains and stored weights."""
