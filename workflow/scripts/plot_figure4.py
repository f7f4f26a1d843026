"""Draw Figure 4: the rank of the intermediate matrix against width."""

from nrc.figures import rank_curves
from workflow.figure_program import figure_program

if __name__ == "__main__":
    figure_program(
        __doc__,
        draw=lambda settings, measures: rank_curves.draw(
            measures,
            along="width",
            ranks=settings["ranks"],
            colour_map=settings["figure"]["colour_map"],
        ),
        numbers=lambda settings, measures: rank_curves.numbers(measures, "width", settings["ranks"]),
        summary=lambda settings, measures: rank_curves.summary(measures),
    )
