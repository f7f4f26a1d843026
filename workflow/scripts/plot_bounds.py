"""Draw the distance to rank K of every layer against the bounds of Theorem 3.4."""

from nrc.figures import bounds
from workflow.figure_program import figure_program

if __name__ == "__main__":
    figure_program(
        __doc__,
        draw=lambda settings, measures: bounds.draw(
            measures,
            clusters=settings["data"]["clusters"],
            colour_map=settings["figure"]["colour_map"],
        ),
        numbers=lambda settings, measures: bounds.numbers(measures),
        summary=lambda settings, measures: bounds.summary(measures),
    )
