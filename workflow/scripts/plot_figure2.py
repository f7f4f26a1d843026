"""Draw Figure 2: linear networks trained on data and on centroids, against noise and weight decay."""

from nrc.figures import figure2
from workflow.figure_program import figure_program

if __name__ == "__main__":
    figure_program(
        __doc__,
        draw=lambda settings, product, factors: figure2.draw(
            product,
            factors,
            saturation=settings["figure"]["saturation"],
            colour_map=settings["figure"]["colour_map"],
        ),
        numbers=lambda settings, *shifts: figure2.numbers(*shifts, settings["figure"]["saturation"]),
        summary=lambda settings, *shifts: figure2.summary(*shifts, settings["figure"]["saturation"]),
    )
