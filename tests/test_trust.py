"""Configuration and files come from other people: nothing of them is run, and nothing is written elsewhere."""

import ast
import gzip
import re
import subprocess
import sys

import pytest
from conftest import PARTS, PROJECT
from test_workflow import write_scale

from nrc.data.mnist import read_split

HOSTILE = [
    "$(touch pwned)",
    "`touch pwned`",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "| touch pwned",
    "x\ntouch pwned\n",
    "{input} {output} {__import__('os').system('touch pwned')}",
    "../../pwned",
]


def sprung(folder) -> bool:
    return bool([*folder.rglob("pwned*"), *folder.parent.glob("pwned*")])


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_folder_is_a_folder_that_is_not_there(fresh, value):
    scale = write_scale(
        fresh, **{"experiments.mnist.data.source": "folder", "experiments.mnist.data.folder": value}
    )
    fresh.snakemake("results/data/mnist/test.nc", scale=scale, fails=True)
    log = (fresh.folder / "results/logs/data/mnist/test.log").read_text(encoding="utf-8")
    assert "has neither t10k-images-idx3-ubyte nor" in log
    assert "Traceback" not in log
    assert not sprung(fresh.folder)


@pytest.mark.parametrize("value", HOSTILE[:3])
def test_a_hostile_configuration_is_refused(fresh, value):
    for key in ("device", "experiments.mixture.network.activation", "figures.figure1.colour_map", f"experiments.{value}"):  # fmt: skip
        said = fresh.snakemake(options=["--dry-run"], scale=write_scale(fresh, **{key: value}), fails=True)
        assert "configuration: " in said
        assert "Traceback" not in said
    assert not sprung(fresh.folder)


@pytest.mark.parametrize(
    "path",
    [
        "results/data/mnist/{}.nc",
        "results/data/mixture/{}/seed~0.nc",
        "results/data/mixture/mixture/seed~{}.nc",
        "results/{}/measures.nc",
        "results/mixture/train/{}.nc",
        "results/mixture/train/weight_decay~{}/sigma~all/width~4/depth~3/seed~0.nc",
        "results/mixture/train/../../../{}.nc",
    ],
)
@pytest.mark.parametrize("value", ["'; touch pwned; '", "../pwned$(touch pwned)"])
def test_a_hostile_target_is_refused(fresh, path, value):
    fresh.snakemake(path.format(value), fails=True)
    assert not sprung(fresh.folder)
    assert not list(fresh.folder.rglob("*.nc"))


def test_a_configuration_cannot_hold_objects(fresh):
    (fresh.folder / "changes.yaml").write_text(
        '!!python/object/apply:os.system ["touch pwned"]', encoding="utf-8"
    )
    fresh.snakemake(options=["--dry-run"], scale=["changes.yaml"], fails=True)
    assert not sprung(fresh.folder)


def test_a_compressed_file_that_would_fill_the_memory_is_not_mnist(tmp_path):
    with gzip.open(tmp_path / "t10k-images-idx3-ubyte.gz", "wb", compresslevel=1) as file:
        for _ in range(300):
            file.write(bytes(2**20))
    code = (
        "import resource, sys; from nrc.data.mnist import read_split\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_split(sys.argv[1], 'test')\n"
        "except ValueError as error: assert 'is not MNIST' in str(error), error\n"
        "else: raise AssertionError\n"
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=PROJECT, check=True)
    with pytest.raises(ValueError, match="is not MNIST"):
        read_split(tmp_path, "test")


def test_everything_is_written_under_results(finished):
    outputs = finished.commands()
    assert len(outputs) > 50
    assert all(output.startswith("results/") for output in outputs)
    assert {path.name for path in finished.folder.iterdir()} == {*PARTS, "results", ".snakemake"}


CODE = sorted([*PROJECT.glob("nrc/**/*.py"), *PROJECT.glob("workflow/**/*.py"), *PROJECT.glob("bench/*.py")])
RULES = [PROJECT / "Snakefile", *PROJECT.glob("workflow/rules/*.smk")]
# what runs what is read, or hands it to a shell
UNSAFE_MODULES = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "subprocess", "code"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "yaml.load"}
UNSAFE_METHODS = {"system", "popen", "read_pickle"}


@pytest.mark.parametrize("file", CODE, ids=lambda file: str(file.relative_to(PROJECT)))
def test_no_program_runs_what_it_reads(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert not {str(name).partition(".")[0] for name in names} & UNSAFE_MODULES
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in UNSAFE_CALLS
            assert called.rpartition(".")[2] not in UNSAFE_METHODS, called
            if called in ("np.load", "np.savez"):
                assert "allow_pickle=False" in ast.unparse(node)


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.name)
def test_every_value_in_a_command_is_quoted(file):
    """What a configuration or a file name holds reaches the shell through :q alone."""
    text = file.read_text(encoding="utf-8")
    assert not re.search(r"\b(eval|exec|pickle)\b|^ *run:", text, re.MULTILINE)
    for command in re.findall(r"^    shell:\n((?:        .*\n)+)", text, re.MULTILINE):
        for name in re.findall(r"\{(.*?)\}", command):
            assert name.endswith(":q") or name in ("input.code[0]", "wildcards.split")
