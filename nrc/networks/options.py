"""What the options of every kind of network have, and the names of the activations."""

from typing import Literal, get_args

from nrc.options import Options, one_of

__all__ = ["ActivationName", "NetworkOptions", "SmoothActivation", "smooth"]

# Names of the activations with a second derivative, and of all, as in `nrc.networks.activations.ACTIVATIONS`.
SmoothActivation = Literal["tanh", "linear", "gelu", "silu"]
ActivationName = Literal[SmoothActivation, "relu", "leaky_relu"]

# The activation has a second derivative.
smooth = one_of(*get_args(SmoothActivation))


class NetworkOptions(Options):
    """Options of a kind of network."""
