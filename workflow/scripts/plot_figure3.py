"""Draw Figure 3: spectra and class WCSS of all layers through training."""

from nrc.figures import figure3
from workflow.figure_program import figure_program

if __name__ == "__main__":
    figure_program(
        __doc__,
        draw=lambda settings, measures: figure3.draw(measures, colour_map=settings["figure"]["colour_map"]),
        numbers=lambda settings, measures: figure3.numbers(measures),
        summary=lambda settings, measures: figure3.summary(measures),
    )
