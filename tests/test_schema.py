import ast

import numpy as np

from nrc.grid import AXES
from support.configurations import PROJECT, SCHEMA


def keys(part, where=""):
    """Every key that the schema describes, with its part of the schema."""
    if isinstance(part, dict):
        for name, about in part.get("properties", {}).items():
            yield f"{where}.{name}", about
        for name, item in part.items():
            yield from keys(item, f"{where}.{name}")


def test_every_key_and_every_kind_is_described():
    described = dict(keys(SCHEMA))
    assert len(described) > 80
    for key, about in described.items():
        if set(about) <= {"default", "const"}:
            # a default that depends on the task or the data; the key is described where it always is
            continue
        named = SCHEMA["$defs"].get(about.get("$ref", "").removeprefix("#/$defs/"), {})
        assert about.get("description") or named.get("description"), key
    for part in ("data", "method", "figure", "claim"):
        assert all(kind.get("description") for kind in SCHEMA["$defs"][part]["kinds"].values())


def test_every_kind_has_its_module():
    for part, folder in (("data", "data"), ("figure", "figures"), ("method", "optimize")):
        for name in SCHEMA["$defs"][part]["kinds"]:
            assert (PROJECT / "nrc" / folder / f"{name}.py").is_file()


def test_a_method_takes_the_options_of_the_schema():
    for name, kind in SCHEMA["$defs"]["method"]["kinds"].items():
        source = (PROJECT / f"nrc/optimize/{name}.py").read_text(encoding="utf-8")
        build = next(
            node
            for node in ast.parse(source).body
            if isinstance(node, ast.FunctionDef) and node.name == "build"
        )
        assert {argument.arg for argument in build.args.kwonlyargs} == set(kind.get("properties", {})), name


def test_axes_of_schema_and_grid_agree():
    grid = SCHEMA["$defs"]["experiment"]["properties"]["grid"]["properties"]
    assert list(grid) == list(AXES) == list(SCHEMA["$defs"]["at"]["properties"])
    for name, axis in AXES.items():
        values = SCHEMA["$defs"][grid[name]["$ref"].removeprefix("#/$defs/")]["then"]["items"]
        value = SCHEMA["$defs"][values["$ref"].removeprefix("#/$defs/")]
        assert value["type"] == ("integer" if axis.integer else "number")
        assert value["minimum"] == axis.least
        assert value.get("maximum", np.inf) == axis.most
    stackable = {name for name, axis in AXES.items() if axis.stackable}
    assert set(SCHEMA["$defs"]["experiment"]["properties"]["stack"]["items"]["enum"]) == stackable
