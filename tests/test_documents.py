"""Environments and numbers in documents agree with their sources."""

import json
import re
import tomllib
from itertools import chain

import numpy as np
import xarray as xr
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import nrc
from support.checkout import PROJECT
from support.faults import rows_of
from tools.findings import PAGES, blocks, neurons
from tools.markdown import filled

PIN = re.compile(r"^([a-z0-9][^ ]*==[^ ;]+(?: ; [^\\\n]*[^ \\\n])?)", re.MULTILINE)


def read(path: str) -> str:
    return (PROJECT / path).read_text(encoding="utf-8")


def test_environments_have_the_pins_of_the_lock_file_and_one_python():
    *_, last = yaml.safe_load(read("envs/nrc.yaml"))["dependencies"]
    assert last["pip"] == PIN.findall(read("requirements.lock")), "run `make envs/nrc.yaml`"
    versions = re.findall(r"python =([\d.]+)", read("envs/nrc.yaml"))
    for path, copied in (("envs/Dockerfile", "COPY "), ("envs/nrc.def", "    ")):
        text = read(path)
        assert f"{copied}requirements.lock /opt/requirements.lock\n" in text
        assert "pip install --no-cache-dir --require-hashes --requirement /opt/requirements.lock\n" in text
        versions += re.findall(r"python:([\d.]+)-slim", text)
    assert versions == ["3.12"] * 3


def test_the_lock_file_meets_the_requirements_of_the_project():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    requirements = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    pins = [Requirement(pin) for pin in PIN.findall(read("requirements.lock"))]
    for requirement in map(Requirement, set(requirements) - {"nrc[figures]"}):
        versions = [
            next(iter(pin.specifier)).version
            for pin in pins
            if pin.name == canonicalize_name(requirement.name)
        ]
        assert versions, requirement
        assert all(map(requirement.specifier.contains, versions)), requirement


def test_numbers_on_pages_are_those_of_findings_json():
    for mark, block in blocks(json.loads(read("docs/findings.json"))).items():
        text = PAGES[mark].read_text(encoding="utf-8")
        assert f"<!-- {mark} -->\n{filled(block)}<!-- /{mark} -->" in text, "run `make findings`"


def test_numbers_of_merged_neurons_are_counted_by_layer():
    """Two networks of three layers; the rank of layer 2 of the first exceeds its number of neurons."""
    missing = np.nan
    of_layers = {
        "relative_distance": [[0.01, 0.5, 0.01], [0.01, 0.01, missing]],
        "exact_rank": [[4, 3, 2], [5, 3, missing]],
        "neuron_rank": [[4, 2, 2], [5, 3, missing]],
        "distinct_neurons": [[4, 2, missing], [5, 3, missing]],
        "potential_gradient": [[1e-8, 1e-7, missing], [1e-2, 1e-9, missing]],
        "merged_groups": [[3, 1, missing], [4, 2, missing]],
        "groups_at_maxima": [[2, 1, missing], [missing, 2, missing]],
    }
    curves = np.arange(1.0, 2 * 3 * 5 + 1).reshape(2, 3, 5)
    made = xr.Dataset(
        {name: (("cell", "layer"), values) for name, values in of_layers.items()}
        | {"neuron_bound": (("cell", "layer", "index"), curves)}
        | {"neuron_bound_random": (("cell", "layer", "index"), 10 * curves)}
        | {"neuron_angles": (("cell", "layer", "decade"), np.ones((2, 3, 18)))}
        | {"status": ("cell", [0, 0])},
        {"layer": [1, 2, 3], "index": range(1, 6), "decade": range(-17, 1)},
    )
    whole = neurons({"all": [made, made]})["all"]
    assert (whole["networks"], whole["layers"], whole["equal"]) == (4, 10, 8)
    assert (whole["gradient"], whole["groups"], whole["at maxima"]) == (1e-2, 12, 10)
    # layers 2 and 3 of the first network, with 4 and 2 neurons before them, and layer 2 of the second, with 5
    assert whole["bound"] == [5 + 4, 10 + 2, 20 + 5]
    assert whole["random"] == [90, 120, 250]
    assert whole["angles"] == [2 * 5 * 12, 2 * 5 * 2, 2 * 5 * 2, 2 * 5 * 2]
    parts = neurons({"Figure 1": [made]})
    assert [part["layers"] for part in parts.values()] == [4, 1]


def test_constants_on_the_page_of_numbers_are_in_the_code():
    rows = re.findall(
        r"^\| (`\w+`.*?) \| .*? \| `(nrc[\w.]+)` \|", read("docs/explanation/numbers.md"), re.MULTILINE
    )
    assert len(rows) > 15
    for names, module in rows:
        text = read(f"{module.replace('.', '/')}.py")
        for name in re.findall(r"\w+", names):
            assert re.search(rf"^(\w+, )*{name}(, \w+)* = ", text, re.MULTILINE), f"{name} in {module}"


def test_the_table_of_faults_has_the_faults_of_the_tests_and_no_losses():
    rows = rows_of(PROJECT / "docs/reliability.md")
    files = [*PROJECT.glob("tests/test_faults_*.py"), PROJECT / "tests/slurm/test_slurm.py"]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    assert set(rows) == set(re.findall(r"survived\(\s*\"([^\"]+)\"", text))
    for tried, survived, lost, _ in rows.values():
        assert int(tried) == int(survived) > 0
        assert int(lost) == 0


def test_changelog_citation_and_version_name_the_same_release():
    headings = re.findall(r"^## \[(.*?)\](?: - \d{4}-\d\d-\d\d)?$", read("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    citation, version = yaml.safe_load(read("CITATION.cff")), Version(nrc.__version__)
    if version.is_devrelease:
        assert version.base_version not in headings
        assert citation["version"] in headings
    else:
        assert headings[1] == citation["version"] == nrc.__version__
