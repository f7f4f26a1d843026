"""The Makefile: `make clean` asks first, and `make env` updates an existing environment."""

import os
import shutil
import subprocess

import pytest

from support.checkout import PROJECT

RESULTS = ("results/mixture/train/a.nc", "results/mixture/train/b.nc", ".snakemake/log/x")


@pytest.fixture
def folder(tmp_path):
    """A folder with the Makefile and the results of two trained stacks."""
    shutil.copy(PROJECT / "Makefile", tmp_path)
    for name in RESULTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def make(folder, *arguments, answer=None):
    """Exit status and output of make, with an answer typed on a terminal, or without a terminal."""
    command = ["make", "--no-print-directory", *arguments]
    # the tests themselves may run below make, which names its level in messages
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    options = {"cwd": folder, "env": environment, "text": True, "capture_output": True, "check": False}
    if answer is None:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, **options)
    else:
        keyboard, terminal = os.openpty()
        os.write(keyboard, f"{answer}\n".encode())
        done = subprocess.run(command, stdin=terminal, **options)
        os.close(keyboard)
        os.close(terminal)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("answer", [None, "no"])
def test_clean_deletes_nothing_without_a_yes(folder, answer):
    status, output = make(folder, "clean", answer=answer)
    assert status != 0
    assert "They include 2 files of trained networks." in output
    assert "Nothing was deleted. Answer yes, or run: make clean CONFIRM=yes" in output
    assert all((folder / name).exists() for name in RESULTS)


@pytest.mark.parametrize(("arguments", "answer"), [(["CONFIRM=yes"], None)])
def test_clean_deletes_all_results_after_a_yes(folder, arguments, answer):
    assert make(folder, "clean", *arguments, answer=answer)[0] == 0
    assert sorted(path.name for path in folder.iterdir()) == ["Makefile"]
    assert "nothing to delete" in make(folder, "clean")[1]


@pytest.mark.parametrize("works", [True, False])
def test_an_existing_environment_is_updated_and_a_broken_one_is_created_again(folder, works):
    """The programs only record how they are called."""
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    for program, status in ((python, 0 if works else 1), (folder / "python3", 0)):
        record = f'#!/bin/sh\necho "{program.name} $*" >> {folder}/calls\n'
        restored = f"sed -i 's/exit 1/exit 0/' {python}\n" if program != python else ""
        program.write_text(f"{record}{restored}exit {status}\n", encoding="utf-8")
        program.chmod(0o755)
    for name in ("requirements.lock", "pyproject.toml"):
        (folder / name).touch()
    assert make(folder, "env", f"PYTHON={folder}/python3")[0] == 0
    calls = (folder / "calls").read_text(encoding="utf-8")
    assert ("python3 -m venv --clear .venv" in calls) == (not works)
    assert "python -m pip install --quiet --require-hashes --requirement requirements.lock" in calls
    assert make(folder, "env")[1] == "make: Nothing to be done for 'env'.\n"


def test_overlays_are_passed_to_snakemake(folder):
    for name in ("requirements.lock", "pyproject.toml"):
        (folder / name).touch()
    for config in ("tiny.yaml mine.yaml", "tiny.yaml 'my file.yaml'"):
        output = make(folder, "-n", "results/figures/mine.png", f"CONFIG={config}")[1]
        assert f"snakemake --configfile {config} -- results/figures/mine.png\n" in output
        assert f"show_settings.py {config} > /dev/null\n" in output
