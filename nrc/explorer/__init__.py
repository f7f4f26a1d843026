"""The explorer: one page to look at every network of every experiment in a browser."""

__all__ = ["PARTS"]

# The parts of the page besides numbers and plotly.js, with scripts in the order in which they run.
PARTS = (
    *("page.html", "page.css", "cubes.js", "state.js", "choices.js"),
    *("plane.js", "network.js", "curves.js", "page.js"),
)
