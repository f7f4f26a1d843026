"""Options that every kind of network has."""

from collections.abc import Sequence

from nrc.options import Options

__all__ = ["NetworkOptions"]


class NetworkOptions(Options):
    """Options of a kind of network."""

    def check(self, input_shape: Sequence[int], width: int, depth: int) -> None:
        """Check the options against the data and against a width and a depth of the grid.

        Parameters
        ----------
        input_shape : sequence of int
            Shape of a point: (features,), or (channels, height, width) of an image.
        width, depth : int

        Raises
        ------
        ValueError
            Beginning with the option's name or with the key of the axis.
        """

    @staticmethod
    def largest_space(features: int, width: int) -> int:
        """About the number of features of a point in the largest space, by which memory is reserved.

        Parameters
        ----------
        features : int
            Number of features of the inputs.
        width : int

        Examples
        --------
        >>> NetworkOptions.largest_space(features=784, width=128)
        784
        """
        return max(features, width)
