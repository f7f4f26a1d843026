"""Draw Figure 5: the average rank over layers against depth."""

from nrc.figures import rank_curves
from workflow.figure_program import figure_program

if __name__ == "__main__":
    figure_program(
        __doc__,
        draw=lambda settings, measures: rank_curves.draw(
            measures,
            along="depth",
            ranks=settings["ranks"],
            colour_map=settings["figure"]["colour_map"],
        ),
        numbers=lambda settings, measures: rank_curves.numbers(measures, "depth", settings["ranks"]),
        summary=lambda settings, measures: rank_curves.summary(measures),
    )
