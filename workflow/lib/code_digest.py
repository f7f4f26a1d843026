"""The code that a program runs, as one digest: an edit that changes what is computed changes it."""

import ast
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

__all__ = ["closure", "code_digest", "summary_of"]

# Where the project's own packages, nrc and workflow, are looked up.
ROOT = Path(__file__).resolve().parents[2]


@cache
def code_digest(program: str | Path, kinds: Sequence[str] = ()) -> str:
    """SHA-256 of a program and of all modules of the project that it imports, however deep.

    Comments, docstrings, types of arguments, descriptions of options, layout and the place of the project do
    not count.

    Parameters
    ----------
    program : path
    kinds : tuple of str
        Modules that the program imports by a name in its settings, such as "nrc.optimize.lbfgs".
    """
    digest = hashlib.sha256(_contents(Path(program))[0])
    for name in sorted(closure(program, kinds)):
        digest.update(f"{name} ".encode() + _contents(_file_of(name), name)[0])
    return digest.hexdigest()


def closure(program: str | Path, kinds: Sequence[str] = ()) -> set[str]:
    """Names of the project's modules that a program imports, however deep, with their packages.

    Raises
    ------
    ValueError
        If there is no module of the name of a kind.
    """
    for kind in kinds:
        if _file_of(kind) is None:
            raise ValueError(f"{program}: there is no module {kind}")
    found: set[str] = set()
    left = {*_contents(Path(program))[1], *kinds}
    while left:
        name = left.pop()
        parents = name.split(".")
        for module in (".".join(parents[:n]) for n in range(1, len(parents) + 1)):
            if module not in found and (file := _file_of(module)):
                found.add(module)
                left |= _contents(file, module)[1] - found
    return found


def summary_of(module: str) -> str:
    """The first line of the docstring of a module, which is not imported."""
    return (ast.get_docstring(ast.parse(_file_of(module).read_bytes())) or "").partition("\n")[0]


@cache
def _file_of(module: str) -> Path | None:
    """The file of a module or package of the project; none of any other name."""
    place = ROOT.joinpath(*module.split("."))
    for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
        if file.is_file():
            return file
    return None


@cache
def _contents(file: Path, module: str = "") -> tuple[bytes, frozenset[str]]:
    """Digest of what a file computes, and the names that it may import."""
    tree = ast.parse(file.read_bytes(), file)
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    names = frozenset(_imported(tree, package))
    for node in ast.walk(tree):
        _drop_words(node)
    return hashlib.sha256(ast.dump(tree).encode()).digest(), names


def _drop_words(node: ast.AST) -> None:
    """Remove what is for readers: docstrings, types, descriptions of options, code for type checkers only."""
    match node:
        case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            if ast.get_docstring(node, clean=False) is not None:
                del node.body[0]
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                node.returns = None
        case ast.arg():
            node.annotation = None
        case ast.Call(func=ast.Name("Field")):
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "description"]
        case ast.If(test=ast.Name("TYPE_CHECKING")):
            node.body = []


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """What the statements under a node import: modules, and names in them that may be modules."""
    match node:
        case ast.Import():
            yield from (alias.name for alias in node.names)
        case ast.ImportFrom():
            base = (
                resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module
            )
            yield from (f"{base}.{alias.name}" for alias in node.names)
        case ast.If(test=ast.Name("TYPE_CHECKING")):
            pass  # never run
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _imported(child, package)
