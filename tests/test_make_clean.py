"""`make clean` deletes nothing unasked."""

import os
import shutil
import subprocess

import pytest

from support.checkout import PROJECT


@pytest.fixture
def folder(tmp_path):
    """A folder with results of two trained stacks."""
    shutil.copy(PROJECT / "Makefile", tmp_path)
    for name in ("results/mixture/train/a.nc", "results/mixture/train/b.nc", ".snakemake/log/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def clean(folder, *arguments, answer=None):
    """Status and words of `make clean`, with an answer on a terminal or without one."""
    command = ["make", "--no-print-directory", "clean", *arguments]
    if answer is None:
        done = subprocess.run(
            command, cwd=folder, text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
        return done.returncode, done.stdout + done.stderr
    keyboard, terminal = os.openpty()
    os.write(keyboard, f"{answer}\n".encode())
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, stdin=terminal, check=False)
    os.close(keyboard)
    os.close(terminal)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("answer", [None, "no", "y"])
def test_without_a_yes_nothing_is_deleted(folder, answer):
    status, said = clean(folder, answer=answer)
    assert status != 0
    assert "2 files of trained networks are among them" in said
    assert "Nothing is deleted; answer yes, or run: make clean CONFIRM=yes" in said
    assert (folder / "results/mixture/train/a.nc").exists()
    assert (folder / ".snakemake/log/x").exists()


@pytest.mark.parametrize(("arguments", "answer"), [(["CONFIRM=yes"], None), ([], "yes")])
def test_with_a_yes_all_results_are(folder, arguments, answer):
    assert clean(folder, *arguments, answer=answer)[0] == 0
    assert sorted(path.name for path in folder.iterdir()) == ["Makefile"]
    assert "nothing to delete" in clean(folder)[1]
