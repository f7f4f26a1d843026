"""Draw Figure 1: rank over the plane of sigma and weight decay."""

from nrc.figures import figure1
from workflow.figure_program import figure_program

if __name__ == "__main__":
    figure_program(
        __doc__,
        draw=lambda settings, measures: figure1.draw(
            measures,
            clusters=settings["data"]["clusters"],
            dimension=settings["data"]["dimension"],
            colour_map=settings["figure"]["colour_map"],
            certified=settings["figure"]["certified"],
        ),
        numbers=lambda settings, measures: figure1.numbers(measures),
        summary=lambda settings, measures: figure1.summary(measures),
    )
