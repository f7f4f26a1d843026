"""Networks of a function of the user that builds a torch module."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import Field
from torch import nn

from nrc.networks.module_architecture import ModuleArchitecture
from nrc.networks.options import NetworkOptions
from nrc.options import HomePath
from nrc.text import first_line

__all__ = ["Build", "Options", "architecture", "load", "of_function"]

# From input_shape, outputs, width and depth to a module.
Build = Callable[[tuple[int, ...], int, int, int], Any]


class Options(NetworkOptions):
    """Any torch module, by a function (input_shape, outputs, width, depth) of yours that returns it. The
    shape of a point is (features,), or (channels, height, width) of images. The function decides what
    width and depth mean. All parameters are trained, with weight decay, in eval mode.
    """

    file: HomePath = Field(
        description="Python file with the function; ~ at its beginning is the home directory"
    )
    build: str = Field("build", description="name of the function")

    def check(self, input_shape: Sequence[int], width: int, depth: int) -> None:
        # without running the file, which imports torch
        import ast

        try:
            tree = ast.parse(Path(self.file).read_bytes(), self.file)
        except (OSError, SyntaxError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ValueError(f"file is {self.file!r}, which cannot be read as Python ({reason})") from None
        found = [node for node in tree.body if getattr(node, "name", None) == self.build]
        assigned = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        imported = {node.asname or node.name for node in ast.walk(tree) if isinstance(node, ast.alias)}
        if not found and self.build not in assigned | imported:
            functions = ", ".join(node.name for node in tree.body if isinstance(node, ast.FunctionDef))
            raise ValueError(
                f"build is {self.build!r}, but {self.file} has no such function; it has {functions or 'none'}"
            )
        if found and isinstance(found[-1], ast.FunctionDef):
            taken = found[-1].args
            positional, optional = [*taken.posonlyargs, *taken.args], len(taken.defaults)
            too_many = len(positional) - optional > 4 or any(default is None for default in taken.kw_defaults)
            if too_many or (len(positional) < 4 and taken.vararg is None):
                raise ValueError(
                    f"build is {self.build!r}, which takes ({', '.join(a.arg for a in positional)}), but "
                    "must take (input_shape, outputs, width, depth)"
                )


def architecture(
    options: Options, input_shape: tuple[int, ...], outputs: int, width: int, depth: int
) -> ModuleArchitecture:
    """The modules of the function of the options.

    Examples
    --------
    >>> code = "def net(shape, outputs, width, depth): return torch.nn.Linear(*shape, outputs)"
    >>> _ = Path("my_nets.py").write_text(f"import torch\\n{code}")
    >>> architecture(Options(file="my_nets.py", build="net"), (4,), 3, 8, 2).layers
    ['Linear']
    """
    return of_function(load(options.file, options.build), input_shape, outputs, width, depth)


def of_function(
    build: Build, input_shape: tuple[int, ...], outputs: int, width: int, depth: int
) -> ModuleArchitecture:
    """The modules that a function builds.

    Raises
    ------
    ValueError
        If it fails, or its modules cannot be trained.
    """
    if isinstance(build, nn.Module):
        raise ValueError(
            "network is a module, but must be a function (input_shape, outputs, width, depth) that builds one"
        )

    def make() -> Any:
        try:
            return build(input_shape, outputs, width, depth)
        except Exception as error:  # functions raise errors of any type
            arguments = f"{input_shape}, {outputs}, {width}, {depth}"
            raise ValueError(f"network: build({arguments}) fails ({first_line(error)})") from error

    return ModuleArchitecture(make, input_shape, outputs)


def load(file: str | Path, name: str) -> Build:
    """The function of a name in a Python file, which is run.

    Raises
    ------
    ValueError
        If the file fails, or has no such function.
    """
    path = Path(file)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"network.file is {str(file)!r}, but must be a Python file, with the suffix .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # files raise errors of any type
        raise ValueError(f"network.file is {str(file)!r}, which fails ({first_line(error)})") from error
    if not callable(build := getattr(module, name, None)):
        raise ValueError(f"network.build is {name!r}, but {file} has no such function")
    return cast(Build, build)
