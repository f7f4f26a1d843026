"""Plain full-batch gradient descent."""

import torch

from nrc.optimize.point import Course, Objective, Phase, Point, Step, WithoutMemory

__all__ = ["GradientDescent", "build"]


def build(course: Course, *, step: float) -> list[Phase]:
    return [Phase(GradientDescent(step))]


class GradientDescent(WithoutMemory):
    """theta <- theta - step * gradient, with a constant step for all cells."""

    whole = True

    def __init__(self, step: float) -> None:
        self.length = step

    def step(self, objective: Objective, point: Point) -> Step:
        after = objective.at(point.theta - self.length * point.gradient)
        once = torch.ones_like(point.value, dtype=torch.int64)
        return Step(after, once, torch.zeros_like(once, dtype=torch.bool))
