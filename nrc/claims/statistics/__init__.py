"""The statistics that claims are judged by: a number for each part of a claim and each seed.

A part is a weight decay, a layer, a space, a measure of rank, or a combination of them. A statistic is a
module of this package, found by its name, with a class `Options` (`nrc.claims.options`) and

    values(cube, options) -> DataArray

which takes the cube of an experiment with its axes in ascending order. The array has the dimensions
`weight_decay` (unless a part is about all weight decays), `what` (the other aspects of a part, in words) and
`seed`; the mean is taken over others. A number is missing where the cube has too few cells.
"""
