"""The explorer: one page to look at every network of every experiment in a browser."""
