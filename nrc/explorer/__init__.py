"""The explorer: one page to look at every network of every experiment in a browser."""

__all__ = ["PARTS"]

# What the page is made of, beside numbers and plotly.js: its scripts in the order in which they run.
PARTS = (
    *("page.html", "page.css", "cubes.js", "state.js", "choices.js"),
    *("ticks.js", "plane.js", "network.js", "curves.js", "page.js"),
)
