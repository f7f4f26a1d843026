"""The wheel: the library alone, without the packages that figures and the pipeline need."""

import re
import subprocess
import sys
import zipfile

import pytest

from support.checkout import PROJECT

# Packages of extras, which must not be imported.
EXTRAS = ("docutils", "jinja2", "matplotlib", "plotly", "rich", "ruamel", "seaborn", "snakemake", "torchvision", "workflow")  # fmt: skip

USER = f"""
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refused())
import nrc, torch
assert nrc.__file__.startswith(sys.argv[1]), nrc.__file__
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).eval()
x, labels = torch.randn(20, 3), torch.arange(20) % 2
measured = nrc.measure(model, x, labels, weight_decay=0.1)
nrc.save(measured, sys.argv[1] + "/measured.nc")
assert nrc.load(sys.argv[1] + "/measured.nc").equals(measured)
nrc.condense(model), nrc.spectra(model), nrc.Recorder(model, x, labels), nrc.module, nrc.train
try:
    nrc.plot(measured)
except ModuleNotFoundError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = "from setuptools.build_meta import build_wheel; import sys; build_wheel(sys.argv[1])"
    # setuptools writes beside the sources
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "nrc", "workflow", "snakemake_logger_plugin_nrc"):
        (source / name).symlink_to(PROJECT / name)
    subprocess.run([sys.executable, "-c", build, folder], cwd=source, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file)


def test_the_wheel_has_all_files_of_the_library_and_no_others(wheel):
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    files = {
        path for path in PROJECT.glob("nrc/**/*.*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == {str(path.relative_to(PROJECT)) for path in files}
    about = wheel.read(next(name for name in wheel.namelist() if name.endswith("/METADATA"))).decode()
    needed = re.findall(r"^Requires-Dist: ([a-z0-9-]+)[^;\n]*$", about, re.MULTILINE)
    assert "torch" in needed
    assert not set(needed) & set(EXTRAS)


def test_a_module_is_measured_without_the_packages_of_figures_and_of_the_pipeline(wheel, tmp_path):
    wheel.extractall(tmp_path)
    command = [sys.executable, "-c", USER, str(tmp_path)]
    said = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, check=True, capture_output=True
    )
    assert said.stdout.decode() == 'nrc.plot needs matplotlib; install it by: pip install "nrc[figures]"\n'
