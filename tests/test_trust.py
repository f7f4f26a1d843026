"""Configuration and files may come from other people: no text in them is executed."""

import ast
import gzip
import re
import tracemalloc

import numpy as np
import pytest

from nrc.data.mnist import read_split
from support.checkout import PARTS, PROJECT, TINY
from workflow.config.load import ConfigurationError, read_settings

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


def test_hostile_words_that_are_allowed_are_words(checkout):
    """Titles and statements of claims reach commands, captions and files unchanged."""
    claim = {"statistic": "rank_trend", "of": "mixture", "trend": "falls"}
    changes = {
        "figures.figure2.of": dict.fromkeys(["".join(HOSTILE[:4]), HOSTILE[6]], "linear_product"),
        "claims": {f"claim{number}": {**claim, "statement": says} for number, says in enumerate(HOSTILE)},
    }
    overlays = checkout.overlay(changes)
    checkout.snakemake("results/figures/figure2.png", "results/claims.md", overlays=overlays)
    assert not sprung(checkout.folder)
    assert "$(touch pwned)" in checkout.read("results/figures/figure2.csv")
    assert "$(touch pwned)" in checkout.read("results/claims.md")


def test_hostile_names_of_files_are_names(fresh):
    """Files and folders of data whose names a shell would execute."""
    name = HOSTILE[0] + HOSTILE[2] + HOSTILE[5]
    np.savez(fresh.folder / f"{name}.npz", x=np.eye(4), labels=np.arange(4) % 2)
    (fresh.folder / name).mkdir()
    data = {
        "mine": {"kind": "arrays", "file": f"{name}.npz"},
        "images": {"kind": "mnist", "source": "folder", "folder": name},
    }
    grid = {"weight_decay": [0.1], "width": [2], "depth": [2]}
    changes = {
        "data": data,
        "experiments": {name: {"data": name, "task": "classify", "grid": grid} for name in data},
    }
    targets = ["results/data/mine/points.nc", "results/data/images/test.nc"]
    overlays = fresh.overlay(changes)
    said = fresh.snakemake(*targets, options=["--keep-going"], overlays=overlays, fails=True)
    assert not list(fresh.folder.rglob("pwned"))
    assert "has neither t10k-images-idx3-ubyte nor" in said
    assert f"{name} has neither t10k" in fresh.read("results/logs/data/images/test.log")
    assert fresh.load("results/data/mine/points.nc").sizes["point"] == 4


@pytest.mark.parametrize(
    "changes",
    [
        lambda value: {"experiments": {"mixture": {"network": {"activation": value}}}},
        lambda value: {"experiments": {value: {"like": "mixture"}}},
        lambda value: {"data": {"digits": {"kind": value}}},
        lambda value: {"data": {"digits": {"kind": "arrays", "file": f"{value}{{input}}"}}},
        lambda value: {
            "claims": {value: {"statistic": "rank_trend", "of": "mixture", "statement": "", "trend": "falls"}}
        },
    ],
)
def test_a_hostile_configuration_is_refused(changes):
    """Where a value is one of a few words, or names an entry."""
    for value in (HOSTILE[0], HOSTILE[5], HOSTILE[6]):
        with pytest.raises(ConfigurationError, match=r"^configuration: ") as refusal:
            read_settings([PROJECT / "config.yaml", PROJECT / TINY], changes(value))
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "path",
    [
        "results/{}/measures.nc",
        "results/mixture/train/weight_decay~{}/sigma~all/width~4/depth~3/seed~0.nc",
    ],
)
def test_a_hostile_target_is_refused(unplanned, path):
    unplanned.snakemake(path.format("'; touch pwned; '../pwned$(touch pwned)"), fails=True)
    assert not sprung(unplanned.folder)
    assert not list(unplanned.folder.rglob("*.nc"))


def test_a_configuration_cannot_hold_objects(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "objects.yaml").write_text(
        '!!python/object/apply:os.system ["touch pwned"]', encoding="utf-8"
    )
    with pytest.raises(ConfigurationError):
        read_settings([PROJECT / "config.yaml", tmp_path / "objects.yaml"])
    assert not sprung(tmp_path)


def test_a_compressed_file_that_would_fill_the_memory_is_not_mnist(tmp_path):
    with gzip.open(tmp_path / "t10k-images-idx3-ubyte.gz", "wb", compresslevel=1) as file:
        for _ in range(300):
            file.write(bytes(2**20))
    tracemalloc.start()
    with pytest.raises(ValueError, match="is not a file of MNIST"):
        read_split(tmp_path, "test")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150 * 2**20


def test_everything_is_written_under_results(finished):
    outputs = finished.commands()
    assert len(outputs) > 50
    assert all(output.startswith("results/") for output in outputs)
    assert {path.name for path in finished.folder.iterdir()} == {*PARTS, "results", ".snakemake"}


CODE = sorted(
    [
        *PROJECT.glob("nrc/**/*.py"),
        *PROJECT.glob("workflow/**/*.py"),
        *PROJECT.glob("bench/*.py"),
        *PROJECT.glob("tools/*.py"),
    ]
)
RULES = [PROJECT / "Snakefile", *PROJECT.glob("workflow/rules/*.smk")]
# what runs what is read, or hands it to a shell
UNSAFE_MODULES = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "subprocess", "code"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "yaml.full_load", "yaml.unsafe_load"}
UNSAFE_METHODS = {"system", "popen", "read_pickle"}
SAFE_LOADERS = {"_Loader", "getattr(yaml, 'CSafeLoader', yaml.SafeLoader)"}


def unsafe(file) -> list[str]:
    """What a module imports or calls that it should not."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            found += {str(name).partition(".")[0] for name in names} & UNSAFE_MODULES
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in UNSAFE_CALLS or called.rpartition(".")[2] in UNSAFE_METHODS:
                found.append(called)
            if called in ("np.load", "np.savez") and "allow_pickle=False" not in ast.unparse(node):
                found.append(called)
            if called == "yaml.load" and ast.unparse(node.args[1]) not in SAFE_LOADERS:
                found.append(called)
    return found


def test_no_program_runs_what_it_reads():
    assert len(CODE) > 50
    # commit.py asks git two fixed questions, without a shell; kinds.py runs declarations in this library
    known = {"commit.py": ["subprocess"], "kinds.py": ["exec"]}
    assert {file.name: found for file in CODE if (found := unsafe(file))} == known


def test_every_value_in_a_command_is_quoted():
    """What a configuration or a file name holds reaches the shell through :q alone."""
    commands = 0
    for file in RULES:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"\b(eval|exec|pickle)\b|^ *run:", text, re.MULTILINE), file.name
        for command in re.findall(r"^ +shell:\n((?: +.*\n)+)", text, re.MULTILINE):
            commands += 1
            for name in re.findall(r"\{(.*?)\}", command):
                safe = name in ("SCRIPTS", "wildcards.split")
                assert name.endswith(":q") or name.startswith("quote(") or safe, f"{file.name}: {name}"
    assert commands >= 8
