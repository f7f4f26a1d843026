"""The programs, as a person calls them."""

import json
import os
import re
import subprocess
import sys

import pytest

from support.checkout import PROJECT

pytestmark = pytest.mark.workflow

PROGRAMS = sorted(file.name for file in (PROJECT / "workflow/scripts").glob("*.py"))
BARE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_helps_from_any_folder(tmp_path, program):
    command = [sys.executable, str(PROJECT / "workflow/scripts" / program), "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=BARE, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith(f"usage: {program}")
    assert "exit codes: 0 done; 1 an error, told in one line; 2 the command line is wrong" in done.stdout
    for option in re.findall(r"^  (--[\w-]+)", done.stdout, re.MULTILINE):
        about = done.stdout.partition(f"  {option}")[2].partition("\n  -")[0]
        assert re.search(r"[a-z]{4}", about), f"{option} is not explained"


def test_settings_are_a_file_or_json(tmp_path):
    settings = {
        "experiment": "blobs",
        "seed": 3,
        "data": {"kind": "mixture", "clusters": 2, "points": 10, "dimension": 2, "separation": 2, "covariance": "isotropic", "weights": None},
    }  # fmt: skip
    (tmp_path / "blobs.json").write_text(json.dumps(settings), encoding="utf-8")
    (tmp_path / "blobs.yaml").write_text(
        "experiment: blobs\nseed: 3\ndata: {kind: mixture, clusters: 2, points: 10, dimension: 2,\n"
        "  separation: 2, covariance: isotropic, weights: null}\n",
        encoding="utf-8",
    )
    program = [sys.executable, str(PROJECT / "workflow/scripts/make_data.py")]
    made = set()
    for given in (json.dumps(settings), "blobs.json", "blobs.yaml"):
        command = [*program, "--settings", given, "--output", "blobs.nc"]
        subprocess.run(command, cwd=tmp_path, env=BARE, check=True)
        made.add((tmp_path / "blobs.nc").read_bytes())
    assert len(made) == 1
    command = [*program, "--settings", "nowhere.yaml", "--output", "blobs.nc"]
    done = subprocess.run(command, cwd=tmp_path, env=BARE, text=True, capture_output=True, check=False)
    assert done.returncode == 2
    assert "'nowhere.yaml' is neither JSON nor a file that can be read" in done.stderr


@pytest.mark.parametrize("log", [None, "make_data.log"])
def test_an_error_is_one_line_and_its_traceback_is_for_the_asking(tmp_path, log):
    """With a log on the terminal and in the log; where NRC_ERRORS says so in the log alone."""
    command = [sys.executable, str(PROJECT / "workflow/scripts/make_data.py"), "--settings", "settings.yaml"]
    (tmp_path / "settings.yaml").write_text("{experiment: blobs, data: {kind: mixture}}", encoding="utf-8")
    command += ["--output", "blobs.nc", *(["--log", log] if log else [])]

    def run(*options, **environment):
        environment = {**BARE, **environment}
        said = {"cwd": tmp_path, "env": environment, "text": True, "capture_output": True, "check": False}
        done = subprocess.run([*command, *options], **said)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr

    line = "Error: 'seed' is missing in the settings; show_settings.py prints settings that are complete\n"
    assert run() == line + (f"  log: {log}\n" if log else "")
    assert re.fullmatch(r"(?s)Traceback .*_Missing: 'seed' .*" + re.escape(line) + ".*", run("--debug"))
    if log:
        assert run(NRC_ERRORS="log") == ""
        said = (tmp_path / log).read_text(encoding="utf-8")
        assert said.startswith("Traceback")
        assert said.endswith(line)
    assert not (tmp_path / "blobs.nc").exists()


def test_a_wrong_configuration_is_one_line_and_its_traceback_is_for_the_asking(tmp_path):
    (tmp_path / "mine.yaml").write_text("colour: red", encoding="utf-8")
    command = [sys.executable, str(PROJECT / "workflow/scripts/show_settings.py"), "mine.yaml"]
    for options, lines in (([], 1), (["--debug"], 2)):
        done = subprocess.run(
            [*command, *options], cwd=tmp_path, env=BARE, text=True, capture_output=True, check=False
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert "Error: configuration: colour is no key here" in done.stderr
        assert (done.stderr.count("\n") == 1) == (lines == 1)


def test_the_store_is_there_after_importing_the_library(tmp_path):
    """And nothing heavy is."""
    code = (
        "import nrc, sys; assert not {'torch', 'xarray', 'matplotlib'} & set(sys.modules)\n"
        "assert nrc.netcdf.load is nrc.load\n"
        "assert nrc.__version__"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=BARE, check=True)
