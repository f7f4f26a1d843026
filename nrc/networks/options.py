"""What the options of every kind of network have, and the names of the activations."""

from typing import Literal, get_args

from nrc.options import Options, one_of

__all__ = ["ActivationName", "NetworkOptions", "SmoothActivation", "smooth"]

# Activations with derivatives of all orders, and all activations.
SmoothActivation = Literal["tanh", "linear"]
ActivationName = Literal[SmoothActivation, "relu"]

# The activation has derivatives of all orders.
smooth = one_of(*get_args(SmoothActivation))


class NetworkOptions(Options):
    """Options of a kind of network."""
