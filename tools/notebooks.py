"""Run the notebooks of docs/ with the current Python and store their outputs: `python -m tools.notebooks`."""

import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient

__all__ = ["FOLDER", "run"]

FOLDER = Path(__file__).parents[1] / "docs/notebooks"
# Seconds per cell.
TIMEOUT = 300


class _OwnKernel(AsyncKernelManager):
    """Runs the current Python, whatever kernels the user has installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


def run(path: Path) -> nbformat.NotebookNode:
    """Run a notebook in a copy of its folder, and return it with the outputs of its cells.

    Raises
    ------
    CellExecutionError
        If a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        for file in path.parent.glob("*.nc"):
            shutil.copy(file, folder)
        client = NotebookClient(
            notebook,
            timeout=TIMEOUT,
            kernel_manager_class=_OwnKernel,
            record_timing=False,
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    return notebook


def main() -> None:
    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = run(path)
        # this differs between machines
        notebook.metadata.pop("language_info", None)
        nbformat.write(notebook, path)
        print(f"{path.name}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
