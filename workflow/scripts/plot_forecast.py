"""Draw the singular values of linear networks, forecast before training against trained."""

from nrc.figures import forecast
from workflow.figure_program import figure_program

if __name__ == "__main__":
    figure_program(
        __doc__,
        draw=lambda settings, measures: forecast.draw(
            measures,
            clusters=settings["data"]["clusters"],
            colour_map=settings["figure"]["colour_map"],
        ),
        numbers=lambda settings, measures: forecast.numbers(measures),
        summary=lambda settings, measures: forecast.summary(measures),
    )
