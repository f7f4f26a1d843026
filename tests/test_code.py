"""The digest of a program's code: which modules it covers, and which edits change it."""

import ast
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from support.checkout import PROJECT

LIBRARY = sorted(PROJECT.glob("nrc/**/*.py"))
SCRIPTS = PROJECT / "workflow/scripts"

SMALL = {
    "nrc/__init__.py": '__all__ = ["a"]\n',
    "nrc/a.py": "from nrc.deep import b\n",
    "nrc/deep/__init__.py": "FIRST = 1\n",
    "nrc/deep/b.py": "from .c import value\nfrom . import d\n",
    "nrc/deep/c.py": "value = 1\n",
    "nrc/deep/d.py": "import numpy\n",
    "nrc/late.py": '"""Late."""\nstep = Field(1, description="a step")\n\ndef f(x):\n    """Twice x."""\n    return 2 * x  # twice\n',
    "nrc/types.py": "value = 1\n",
    "nrc/kind.py": "from nrc.deep import FIRST\n",
    "nrc/version.py": '__version__ = "1"\n',
    "workflow/__init__.py": "",
    "workflow/lib/__init__.py": "",
    "workflow/lib/program.py": "run = 1\n",
    "workflow/scripts/go.py": (
        "from typing import TYPE_CHECKING\nfrom nrc.a import b\nfrom workflow.lib.program import run\n"
        "if TYPE_CHECKING:\n    from nrc.types import value\n"
        "def main():\n    from nrc.late import f\n    return f(run)\n"
    ),
}


def code_in(folder: Path):
    """The module `workflow.lib.code_digest` of a folder, loaded anew because it caches files."""
    spec = spec_from_file_location("code_of_a_copy", folder / "workflow/lib/code_digest.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def small(tmp_path) -> Path:
    for file, text in SMALL.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    shutil.copy(PROJECT / "workflow/lib/code_digest.py", tmp_path / "workflow/lib")
    return tmp_path


def closure(folder: Path, *kinds: str) -> set[str]:
    return code_in(folder).closure(folder / "workflow/scripts/go.py", kinds)


def digest(folder: Path, *kinds: str) -> str:
    return code_in(folder).code_digest(folder / "workflow/scripts/go.py", kinds)


def test_the_closure_sees_through_modules_packages_and_functions(small):
    assert closure(small) == {
        *("nrc", "nrc.a", "nrc.deep", "nrc.deep.b", "nrc.deep.c", "nrc.deep.d", "nrc.late"),
        *("workflow", "workflow.lib", "workflow.lib.program"),
    }


def test_what_is_loaded_by_name_is_named(small):
    assert closure(small, "nrc.kind") == closure(small) | {"nrc.kind"}
    assert digest(small, "nrc.kind") != digest(small)
    with pytest.raises(ValueError, match=r"there is no module nrc\.other"):
        closure(small, "nrc.other")


@pytest.mark.parametrize("file", ["workflow/scripts/go.py", *(f for f in SMALL if "/go" not in f)])
def test_an_edit_changes_the_digest_of_who_imports_it(small, file):
    before = digest(small)
    with (small / file).open("a", encoding="utf-8") as stream:
        stream.write("more = 1\n")
    imported = file not in ("nrc/types.py", "nrc/kind.py", "nrc/version.py")
    assert (digest(small) != before) == imported


def test_words_types_and_layout_do_not_count(small):
    before = digest(small)
    (small / "nrc/late.py").write_text(
        '"""Later."""\nstep = Field(1, description="length of a step")\n\n\ndef f(\n    x: int,\n) -> int:\n    "Double x."\n    return 2*x\n',
        encoding="utf-8",
    )
    (small / "workflow/scripts/go.py").write_text(
        SMALL["workflow/scripts/go.py"].replace("nrc.types import value", "nrc.types import value as other"),
        encoding="utf-8",
    )
    assert digest(small) == before
    (small / "nrc/late.py").write_text("def f(x):\n    return 3 * x\n", encoding="utf-8")
    assert digest(small) != before


KINDS = {
    "train": ("nrc.optimize", ("lbfgs", "levenberg_marquardt", "adam")),
    "make_data": ("nrc.data", ("mixture", "mnist", "arrays")),
    "judge_claims": ("nrc.claims.statistics", ("head_change",)),
    "plot": ("nrc.figures", ("plane", "shift", "spectra")),
}


@pytest.fixture(scope="module")
def closures() -> dict[str, set[str]]:
    """The modules of every program, with every kind that it loads by name."""
    found, code = {}, code_in(PROJECT)
    for program in SCRIPTS.glob("*.py"):
        package, names = KINDS.get(program.stem, ("", [""]))
        for name in names:
            kinds = [f"{package}.{name}"] if name else []
            found[f"{program.stem} {name}".strip()] = code.closure(program, kinds)
    return found


@pytest.mark.parametrize(
    ("module", "programs"),
    [
        ("nrc.version", set()),
        ("nrc.optimize.adam", {"train adam"}),
        ("nrc.optimize.levenberg_marquardt", {"train levenberg_marquardt"}),
        ("nrc.data.arrays", {"make_data arrays"}),
        ("nrc.figures.plane", {"plot plane"}),
        ("nrc.measures.ranks", {"measure"}),
        ("nrc.claims.judge", {"judge_claims head_change", "summarise"}),
        ("nrc.claims.statistics.head_change", {"judge_claims head_change"}),
        ("nrc.audit", {"audit"}),
        ("workflow.lib.paths", set()),
        ("nrc.figures.style", {"plot plane", "plot shift", "plot spectra"}),
    ],
)
def test_a_module_belongs_only_to_the_programs_that_use_it(closures, module, programs):
    assert {name for name, modules in closures.items() if module in modules} == programs


IMPORTS = """
import importlib, os, sys
import h5netcdf, pandas, scipy.stats, torch, xarray
for program in sys.argv[1:]:
    if not os.fork():
        importlib.import_module(program)
        print(program, *(name for name in sys.modules if name.partition(".")[0] in ("nrc", "workflow")), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""


def test_the_closure_holds_what_python_imports():
    said = subprocess.run(
        [sys.executable, "-c", IMPORTS, "collect", "compare_centroids", "make_data", "plot", "train"],
        env={"PYTHONPATH": f"{SCRIPTS}:{PROJECT}"},
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    code = code_in(PROJECT)
    for line in said.splitlines():
        program, *imported = line.split()
        assert "nrc.netcdf" in imported
        assert set(imported) <= code.closure(SCRIPTS / f"{program}.py")
    assert len(said.splitlines()) == 5


def test_every_program_belongs_to_a_rule():
    rules = "".join(file.read_text(encoding="utf-8") for file in (PROJECT / "workflow/rules").glob("*.smk"))
    for program in SCRIPTS.glob("*.py"):
        used = f"/{program.name}" in rules
        assert used == (f'code_of("{program.name}"' in rules), program
        assert used == (program.name != "show_settings.py"), program


def test_the_project_imports_modules_and_what_they_define():
    """The closure would not see a module behind a lazy name of a package."""
    for file in [*LIBRARY, *SCRIPTS.glob("**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                lazy = {alias.name for alias in node.names} & {"nrc", "workflow"}
                # the release number, which no program depends on
                assert not lazy or file.name == "metadata.py", f"{file} imports {lazy}"
            if isinstance(node, ast.ImportFrom) and node.module == "nrc":
                for alias in node.names:
                    place = PROJECT / "nrc" / alias.name
                    assert place.is_dir() or place.with_suffix(".py").is_file(), f"{file}: {alias.name}"


def test_the_library_knows_nothing_of_the_workflow():
    for file in LIBRARY:
        text = file.read_text(encoding="utf-8").lower()
        for word in ("snakemake", "results/", "wildcard", "config["):
            assert word not in text, f"{file} mentions {word}"
