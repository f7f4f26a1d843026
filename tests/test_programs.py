"""The programs, as a person calls them."""

import json
import os
import re
import signal
import subprocess
import sys
from importlib import import_module

from workflow.lib.program import parser_of

import make_data
import pytest

from support.checkout import PROJECT

pytestmark = pytest.mark.workflow

PROGRAMS = sorted(file.stem for file in (PROJECT / "workflow/scripts").glob("*.py"))
BARE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def call(folder, program, *options, **environment):
    """Run a program in a folder, as a person would."""
    command = [sys.executable, str(PROJECT / f"workflow/scripts/{program}.py"), *options]
    how = {
        "cwd": folder,
        "env": {**BARE, **environment},
        "text": True,
        "capture_output": True,
        "check": False,
    }
    return subprocess.run(command, **how)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_help_explains_every_option(program):
    parser = parser_of(import_module(program).main)
    assert {"--log", "--debug"} <= set(parser._option_string_actions)
    assert all(re.search(r"[a-z]{4}", action.help) for action in parser._actions)
    assert parser.description[0].isupper()
    assert "exit codes: 0 done; 1 an error, printed in one line; 2 the command line is wrong" in parser.epilog


def test_a_program_runs_in_any_folder_with_settings_in_a_file_or_as_json(tmp_path, capsys):
    data = {"clusters": 2, "points": 10, "dimension": 2, "separation": 2, "covariance": "isotropic"}
    settings = {"experiment": "blobs", "seed": 3, "data": {"kind": "mixture", **data, "weights": None}}
    (tmp_path / "blobs.yaml").write_text(
        "experiment: blobs\nseed: 3\ndata: {kind: mixture, clusters: 2, points: 10, dimension: 2,\n"
        "  separation: 2, covariance: isotropic, weights: null}\n",
        encoding="utf-8",
    )
    made = set()
    for given in (json.dumps(settings), "blobs.yaml"):
        done = call(tmp_path, "make_data", "--settings", given, "--output", "blobs.nc")
        assert done.returncode == 0, done.stderr
        made.add((tmp_path / "blobs.nc").read_bytes())
    assert len(made) == 1
    with pytest.raises(SystemExit, match="2"):
        parser_of(make_data.main).parse_args(["--settings", "nowhere.yaml", "--output", "blobs.nc"])
    assert "'nowhere.yaml' is neither JSON nor a file that can be read" in capsys.readouterr().err


def test_an_error_is_one_line_and_debug_adds_the_traceback(tmp_path):
    """With a log, the error is on the terminal and in the log; if NRC_ERRORS is log, only in the log."""
    data = {"kind": "mixture", "clusters": 2, "points": 9, "dimension": 3}
    settings = json.dumps({"experiment": "blobs", "data": data})

    def run(*options, **environment):
        options = ["--settings", settings, "--output", "blobs.nc", *options]
        done = call(tmp_path, "make_data", *options, **environment)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr

    line = "Error: 'seed' is missing in the settings; show_settings.py prints settings that are complete\n"
    log = ("--log", "make_data.log")
    assert run() == line
    assert re.fullmatch(
        r"(?s)Traceback .*'seed' .*" + re.escape(line) + "  log: make_data.log\n", run("--debug", *log)
    )
    assert run(*log, NRC_ERRORS="log") == ""
    text = (tmp_path / "make_data.log").read_text(encoding="utf-8")
    assert "\nTraceback" in text
    assert text.endswith(line)
    assert not (tmp_path / "blobs.nc").exists()


def test_a_wrong_configuration_is_one_line(tmp_path):
    (tmp_path / "mine.yaml").write_text("colour: red", encoding="utf-8")
    done = call(tmp_path, "show_settings", "mine.yaml")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("Error: configuration: colour ")


def test_ctrl_c_during_an_import_prints_nothing(tmp_path):
    (tmp_path / "torch.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n", encoding="utf-8"
    )
    done = call(tmp_path, "train", "--help", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_ctrl_c_during_an_import_that_catches_it_prints_nothing(tmp_path):
    """Numpy, for example, tries again."""
    (tmp_path / "torch.py").write_text(
        "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "except KeyboardInterrupt:\n    raise RecursionError\n",
        encoding="utf-8",
    )
    done = call(tmp_path, "train", "--help", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_importing_the_library_imports_nothing_heavy(tmp_path):
    code = (
        "import nrc, sys; assert not {'torch', 'xarray', 'matplotlib'} & set(sys.modules)\n"
        "assert nrc.netcdf.load is nrc.load\n"
        "assert nrc.__version__"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=BARE, check=True)


def test_an_error_in_code_of_the_user_names_its_file_and_line(tmp_path):
    (tmp_path / "nets.py").write_text("def forward():\n    return {}['late key']\n", encoding="utf-8")
    program = """'A program.'

from workflow.lib.program import run

import nets


def main() -> None:
    nets.forward()


run(main)
"""
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    how = {"env": {**BARE, "PYTHONPATH": str(PROJECT)}, "text": True, "capture_output": True, "check": False}
    done = subprocess.run([sys.executable, tmp_path / "program.py"], **how)
    assert done.stderr == f"Error: {tmp_path}/nets.py, line 2: KeyError: 'late key'\n"
