"""Figures, a module for each kind.

A kind is a module of this package, found by its name, with a class `Options` (`nrc.figures.options`) and

    rows(cubes, options) -> DataFrame     the numbers that are drawn
    draw(cubes, options) -> Figure        in the context `style.styled()`
    summary(cubes, options) -> dict       the facts of the caption

`cubes` are collected measures by name: `shift` draws a row of panels for each cube, `hysteresis` and
`branches` compare three, every other kind draws one cube. K, N and d are its attributes `clusters`, `points`
and `dimension`.
"""
