"""The table of penalties: weight decay on the factors W_l, or on the product of a linear network.

The Snakefile imports this module, which therefore does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from nrc.networks.activations import linear
from nrc.networks.arrays import fastest, inner, tensor
from nrc.options import Condition, equal, one_of, positive

if TYPE_CHECKING:
    from torch import Tensor

    from nrc.networks.mlp import Architecture

__all__ = ["PENALTIES", "Penalty", "closed_form", "on_product", "ridge"]


class Penalty(Protocol):
    """A penalty of strength lambda on the parameters of each cell.

    Attributes
    ----------
    ridge : bool
        Whether it is (lambda / 2) ||theta||^2, as Theorem 3.4 needs it. Then its Hessian is lambda I, and for
        a squared error the best last layer is a ridge regression.
    on_product : bool
        Whether it is (lambda / 2) ||W_L ... W_1||^2, as Theorems 5.1, 5.3 and 5.4 need it.
    about, of : str
        Its description, and what it penalises, for "a penalty on ...".
    reference : str
        Where the paper has its closed form for linear networks.
    needs : mapping
        Conditions by dotted keys of an experiment that has it.

    Examples
    --------
    >>> from nrc.networks.mlp import Architecture
    >>> architecture, decay, theta = Architecture((2, 1)), torch.tensor([0.1]), torch.tensor([[3.0, 4.0]])
    >>> value, gradient = PENALTIES["factors"].gradient(architecture, decay, theta)
    >>> value.item(), gradient.tolist()
    (1.25, [[0.3, 0.4]])
    >>> PENALTIES["factors"].gradient_norm(architecture, decay, theta).item()
    0.5
    """

    ridge: bool
    on_product: bool
    about: str
    of: str
    reference: str
    needs: Mapping[str, Condition]

    def check(self, architecture: Architecture, weight_decay: Tensor) -> None:
        """Raise ValueError if the penalty is not defined on networks of an architecture, or for a lambda."""

    def gradient(
        self, architecture: Architecture, weight_decay: Tensor, theta: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Value (cells,) and gradient (cells, parameters) at theta, for weight_decay (cells,)."""

    def gradient_norm(self, architecture: Architecture, weight_decay: Tensor, theta: Tensor) -> Tensor:
        """Norm of the gradient, (cells,)."""

    def add_hessian_product(self, product: Tensor, v: Tensor, weight_decay: Tensor) -> Tensor:
        """Add the Hessian times v to a product (cells, parameters), in place."""

    def damping(self, weight_decay: Tensor) -> Tensor:
        """What preconditioners add to each eigenvalue of the curvature of the loss, (cells,)."""

    def penalised_factors(self, depth: int) -> int | None:
        """Of how many factors of W_L ... W_1 it is the sum of the ridges; None if it is no such sum.

        This is all that the closed form for linear networks (`nrc.theory.linear`) depends on.
        """


class Factors:
    """(lambda / 2) sum_l ||W_l||^2, which is weight decay; biases count like weights, as in PyTorch.

    Examples
    --------
    >>> Factors().damping(torch.tensor([0.1]))
    tensor([0.1000])
    """

    ridge, on_product = True, False
    about = "weight decay on the factors W_l"
    of = "the layers"
    reference = "Section 5"
    needs: Mapping[str, Condition] = {}

    def check(self, architecture: Architecture, weight_decay: Tensor) -> None:
        pass

    def gradient(
        self, architecture: Architecture, weight_decay: Tensor, theta: Tensor
    ) -> tuple[Tensor, Tensor]:
        decay = fastest(weight_decay)[:, None] * fastest(theta)
        return tensor(inner(decay, fastest(theta)) / 2), tensor(decay)

    def gradient_norm(self, architecture: Architecture, weight_decay: Tensor, theta: Tensor) -> Tensor:
        squares = tensor(inner(fastest(theta), fastest(theta)))
        return weight_decay * squares.sqrt_()

    def add_hessian_product(self, product: Tensor, v: Tensor, weight_decay: Tensor) -> Tensor:
        return product.addcmul_(v, weight_decay[:, None])

    def damping(self, weight_decay: Tensor) -> Tensor:
        return weight_decay

    def penalised_factors(self, depth: int) -> int | None:
        return depth


class Product:
    """(lambda / 2) ||W_L ... W_1||^2 on a linear network without biases (Section 5).

    Examples
    --------
    >>> from nrc.networks.mlp import Architecture
    >>> architecture = Architecture((1, 1, 1), activation="linear")
    >>> value, gradient = Product().gradient(architecture, torch.ones(1), torch.tensor([[2.0, 3.0]]))
    >>> value.item(), gradient.tolist()
    (18.0, [[18.0, 12.0]])
    """

    ridge, on_product = False, True
    about = "weight decay on the product of a linear network (Section 5)"
    of = "the product of the layers"
    reference = "Theorem 5.1"
    needs: Mapping[str, Condition] = {
        "network.kind": equal("mlp"),
        "task": equal("autoencode"),
        "loss": equal("squared_error"),
        "network.activation": linear,
        "network.bias": equal(False),
        "grid.weight_decay": positive,
    }

    def check(self, architecture: Architecture, weight_decay: Tensor) -> None:
        if not architecture.linear:
            raise ValueError(
                f"the penalty is on the product, but the activation is {architecture.activation}"
                f"{' with biases' if architecture.bias else ''}; "
                "only a linear network without biases is the product of its layers"
            )
        if (weight_decay <= 0).any():
            raise ValueError(
                "weight decay is 0, but a penalty on the product needs it above 0: Theorem 5.1 needs "
                "X X' + N lambda I invertible, and the residual is relative to the penalty"
            )

    def gradient(
        self, architecture: Architecture, weight_decay: Tensor, theta: Tensor
    ) -> tuple[Tensor, Tensor]:
        # ||W||^2 is the squared error of the network on the basis vectors, with targets 0 (Remark 5.2)
        basis = theta.new_ones(architecture.sizes[0]).diag().expand(len(theta), -1, -1)
        penalty, gradient, _ = architecture.network(theta).gradient(
            basis,
            theta.new_zeros(len(theta), len(basis[0]), architecture.sizes[-1]),
            weight_decay[:, None].expand(-1, len(basis[0])),
        )
        return penalty, architecture.join(gradient)

    def gradient_norm(self, architecture: Architecture, weight_decay: Tensor, theta: Tensor) -> Tensor:
        norm: Tensor = self.gradient(architecture, weight_decay, theta)[1].norm(dim=1)
        return norm

    def add_hessian_product(self, product: Tensor, v: Tensor, weight_decay: Tensor) -> Tensor:
        raise ValueError("the penalty is on the product, which has no products with the Hessian; use factors")

    def damping(self, weight_decay: Tensor) -> Tensor:
        raise ValueError("the penalty is on the product, which has no preconditioner; use factors")

    def penalised_factors(self, depth: int) -> int | None:
        return 1


PENALTIES: dict[str, Penalty] = {"factors": Factors(), "product": Product()}

# Conditions on the penalty of an experiment.
ridge = one_of(*(name for name, penalty in PENALTIES.items() if penalty.ridge))
on_product = one_of(*(name for name, penalty in PENALTIES.items() if penalty.on_product))
closed_form = one_of(*(name for name, penalty in PENALTIES.items() if penalty.penalised_factors(1)))
