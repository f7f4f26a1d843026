"""What disks do to a stage: one line names the file and the remedy, and no file is left half-written."""

import contextlib
from pathlib import Path

import pytest

from support.checkout import digests
from support.processes import mounted
from support.stages import INPUTS, STAGES, run_stage

# A stage for each format that the pipeline writes, and one for each kind of file that it reads.
WRITERS = ["train_stack", "audit"]
READERS = ["train_stack", "measure", "collect"]


@pytest.fixture(scope="module")
def commands(finished):
    return finished.commands()


def error_of(output: str) -> str:
    """The one line that a program ends with, beside the line that names its log."""
    *_, error, log = output.strip().splitlines()
    assert output.count("Error: ") == 1, output
    assert log.startswith("  log: results/logs/")
    return error


@pytest.mark.parametrize("stage", WRITERS)
def test_the_disk_is_full_at_a_write(checkout, commands, survived, stage):
    before, output = digests(checkout), checkout.folder / STAGES[stage]
    (output.parent / f".{output.stem}.earlier.nc").unlink(missing_ok=True)
    inputs = checkout.folder / "inputs"
    output.parent.rename(inputs)
    output.parent.mkdir()
    with mounted(output.parent, "-o", "size=16k"):
        for part in inputs.iterdir():  # what else is in the folder stays readable
            (output.parent / part.name).symlink_to(part)
        output.unlink(missing_ok=True)
        with contextlib.suppress(OSError), (output.parent / "filling").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(512))
        error = error_of(run_stage(checkout, commands[STAGES[stage]]))
        assert "could not be written (No space left on device)" in error
        assert str(Path(STAGES[stage]).parent) in error
        assert "free disk space" in error
        assert not output.exists()
        assert not list(output.parent.glob("*.partial-*")), "a file is left half-written"
    output.parent.rmdir()
    inputs.rename(output.parent)
    output.unlink()
    assert run_stage(checkout, commands[STAGES[stage]]) == ""
    assert digests(checkout) == before
    survived(
        "full disk while a stage writes",
        "nothing. The error names the file, of which no part is left; free disk space and run again",
    )


def test_an_input_is_damaged(checkout, commands, survived):
    """Truncated, empty, and with one bit flipped."""
    before = digests(checkout)
    for number, stage in enumerate(READERS):
        output, damaged = checkout.folder / STAGES[stage], checkout.folder / INPUTS[stage]
        intact = damaged.read_bytes()
        flipped = bytearray(intact)
        flipped[len(intact) // 2] ^= 1
        made = output.read_bytes()
        output.unlink()
        damaged.write_bytes((intact[:-1000], b"", bytes(flipped))[number])
        error = error_of(run_stage(checkout, commands[STAGES[stage]]))
        assert f"{INPUTS[stage]} is damaged" in error
        assert "delete it and run again" in error
        assert not output.exists()
        damaged.write_bytes(intact)
        output.write_bytes(made)
    damaged = checkout.folder / STAGES["train_stack"]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    damaged.unlink()
    checkout.snakemake(STAGES["train_stack"])
    assert digests(checkout) == before
    tried = len(READERS)
    survived(
        "truncated, empty or bit-flipped input of a stage",
        "nothing. The error names the file; delete it and run again",
        **{"tried": tried, "survived": tried},
    )
