"""What disks do to every stage: one line names the file and the remedy, and nothing half-written is left."""

import contextlib
from pathlib import Path

import pytest

from support.checkout import digests
from support.processes import mounted
from support.stages import INPUTS, STAGES, run_stage


@pytest.fixture(scope="module")
def commands(finished):
    return finished.commands()


def error_of(said: str) -> str:
    """The one line that a program ends with, beside that on its log."""
    *_, error, log = said.strip().splitlines()
    assert said.count("Error: ") == 1, said
    assert log.startswith("  log: results/logs/")
    return error


@pytest.mark.parametrize("stage", STAGES)
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
        assert "make room" in error
        assert not output.exists()
        assert not list(output.parent.glob("*.partial-*")), "something half-written is left"
    output.parent.rmdir()
    inputs.rename(output.parent)
    output.unlink()
    assert run_stage(checkout, commands[STAGES[stage]]) == ""
    assert digests(checkout) == before
    survived(
        "full disk while a stage writes",
        "nothing. The error names the file, of which no part is left; make room and run again",
    )


@pytest.mark.parametrize("stage", INPUTS)
def test_an_input_is_damaged(checkout, commands, survived, stage):
    before, output = digests(checkout), checkout.folder / STAGES[stage]
    damaged = checkout.folder / INPUTS[stage]
    whole = damaged.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    output.unlink()
    (output.parent / f".{output.stem}.earlier.nc").unlink(missing_ok=True)
    for damage in (whole[:-1000], b"", bytes(flipped)):
        damaged.write_bytes(damage)
        error = error_of(run_stage(checkout, commands[STAGES[stage]]))
        assert f"{INPUTS[stage]} is damaged" in error
        assert "delete it and run again" in error
        assert not output.exists()
    damaged.write_bytes(whole)
    assert run_stage(checkout, commands[STAGES[stage]]) == ""
    assert digests(checkout) == before
    survived(
        "truncated, empty or bit-flipped input of a stage",
        "nothing. The error names the file; delete it and run again",
        tried=3,
        survived=3,
    )


def test_deleting_a_damaged_file_is_all_it_takes(checkout):
    before, damaged = digests(checkout), checkout.folder / STAGES["train_stack"]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    shown = checkout.snakemake(STAGES["collect"], fails=True)
    assert f"{STAGES['train_stack']} is damaged" in shown
    assert f"{STAGES['train_stack']} is damaged" in checkout.log(STAGES["measure"])
    damaged.unlink()
    checkout.snakemake(STAGES["measure"])
    assert digests(checkout) == before
