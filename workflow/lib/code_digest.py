"""A digest of the code of a program, which changes if an edit may change results."""

import ast
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

__all__ = ["closure", "code_digest", "summary_of"]

# The folder of the packages nrc and workflow.
ROOT = Path(__file__).resolve().parents[2]


@cache
def code_digest(program: str | Path, kinds: Sequence[str] = ()) -> str:
    """SHA-256 of a program and of all modules of the project that it imports, directly or indirectly.

    Comments, docstrings, types of arguments, descriptions of options, layout and the folder of the project do
    not change it.

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
    """Modules of the project that a program imports, directly or indirectly, with their packages.

    Raises
    ------
    ValueError
        If there is no module of that name.
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
    """The first line of the docstring of a module, without importing it."""
    file = _file_of(module)
    docstring = ast.get_docstring(ast.parse(file.read_bytes())) if file else None
    return (docstring or "").partition("\n")[0]


@cache
def _file_of(module: str) -> Path | None:
    """The file of a module or package of the project, if the project has one of that name."""
    place = ROOT.joinpath(*module.split("."))
    for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
        if file.is_file():
            return file
    return None


@cache
def _contents(file: Path, module: str = "") -> tuple[bytes, frozenset[str]]:
    """Digest of the code in a file, and the names that it may import."""
    tree = ast.parse(file.read_bytes(), file)
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    names = set[str]()
    for node in _statements(tree):
        _remove_documentation(node)
        names.update(_imported(node, package))
    return hashlib.sha256(ast.dump(tree).encode()).digest(), frozenset(names)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all statements under it; to look into all expressions as well would take a plan longer."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _statements(child)


def _remove_documentation(node: ast.AST) -> None:
    """Remove the docstring of a node, its types, descriptions of options, and code for type checkers."""
    match node:
        case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            if ast.get_docstring(node, clean=False) is not None:
                del node.body[0]
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                node.returns = None
                for part in ast.walk(node.args):
                    if isinstance(part, ast.arg):
                        part.annotation = None
        case ast.AnnAssign() | ast.Assign():
            for part in ast.walk(node):
                if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id == "Field":
                    part.keywords = [keyword for keyword in part.keywords if keyword.arg != "description"]
        case ast.If(test=ast.Name("TYPE_CHECKING")):
            node.body = []


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """Modules that a statement imports, and names in them that may be modules."""
    match node:
        case ast.Import():
            yield from (alias.name for alias in node.names)
        case ast.ImportFrom():
            base = (
                resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module
            )
            yield from (f"{base}.{alias.name}" for alias in node.names)
