"""Every key of the configuration, from its models: what it may be, its default, and what it means."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from nrc import kinds
from nrc.claims.options import ClaimOptions
from nrc.figures.options import FigureOptions, FigureStyle
from nrc.options import Condition, Options, Requirement
from workflow.config.requirements import CHOICES
from workflow.config.schema import allowed, alternatives, kind_of, schema
from workflow.config.words import written

__all__ = ["Key", "keys", "text"]

Part = Mapping[str, Any]

HEAD = "| key | may be | default | what it means |\n|---|---|---|---|"
# Mappings whose keys have a section of their own.
SECTIONS = {
    **{name: name for name in ("data", "experiments", "figures", "claims", "measures")},
    "network": "networks",
    "method": "methods",
}


class Key(NamedTuple):
    """A key, by its path from the start of its section."""

    name: str
    may_be: str
    default: str
    meaning: str


def text() -> str:
    """All sections."""
    file, parts = schema(), schema()["$defs"]
    return "\n".join(
        [
            "## The whole file\n",
            _table(keys(file)),
            "## measures\n",
            f"{_sentence(file['properties']['measures'])}\n",
            _table(keys(parts["measures"])),
            "Some choices need an experiment of a kind, and are left out of the others:\n",
            *filter(None, map(_measures_need, kinds.names("measures"))),
            "",
            *_kinds("data", "data", "Every entry of `data` has a `kind`, and the keys of that kind."),
            "## experiments\n",
            "Every entry is a grid of networks. It has these keys, or `like: NAME`, the name of another "
            "experiment whose keys it inherits, and the keys that differ.\n",
            _table(keys(parts["Experiment"])),
            "### Axes\n",
            "An axis is a list of values, or a range:\n",
            _table(keys(parts["range_of_sigma"])),
            "The default `scale` of widths, depths and seeds is `linear`.\n",
            _needs(CHOICES, "Some choices need others:\n"),
            *_kinds(
                "networks",
                "networks",
                "`network` has a `kind`, mlp if it is not given, and the keys of that kind. All kinds but "
                "mlp are torch modules, with the initial weights of torch.",
            ),
            *_kinds("methods", "optimize", "`training.method` has a `name`, and the keys of that method."),
            *_kinds(
                "figures",
                "figures",
                "`style` has the defaults of all figures; every other entry is a figure. Every figure has a "
                f"`kind`, and these keys:\n\n{_common('figures_plane', FigureOptions)}",
                common=(FigureOptions, FigureStyle),
            ),
            *_kinds(
                "claims",
                "claims.statistics",
                "A claim has parts: weight decays, layers, measures. It is supported if more than three "
                "quarters of its parts are, and contradicted if at least a quarter are. `level` is the "
                "default of all claims; every other entry is a claim. Every claim has a `statistic`, and "
                "these "
                f"keys:\n\n{_common('statistics_rank_trend', ClaimOptions)}",
                common=(ClaimOptions,),
            ),
        ]
    )


def keys(part: Part, before: str = "", names: Iterable[str] | None = None) -> Iterator[Key]:
    """The keys of a part of the schema, with those of the mappings in it."""
    properties = part.get("properties", {})
    for name in properties if names is None else names:
        about = properties[name]
        inner = next(
            (option for option in alternatives(about) if "properties" in option and not kind_of(option)), {}
        )
        inner = {} if name in SECTIONS or "from" in inner.get("properties", {}) else inner
        required = name in part.get("required", [])
        yield Key(
            f"{before}{name}",
            _may_be(name, about, nested=bool(inner)),
            "must be given" if required else _default(about),
            _description(about),
        )
        if inner:
            yield from keys(inner, f"{before}{name}.")


def _kinds(title: str, package: str, about: str, common: tuple[type[Options], ...] = ()) -> Iterator[str]:
    """A section with every kind of a package; what all kinds have is in `about`."""
    yield f"## {title}\n"
    yield f"{about}\n"
    shared = {name for options in common for name in options.model_fields}
    for name in kinds.names(package):
        options, part = kinds.options(package, name), schema()["$defs"][f"{package.split('.')[-1]}_{name}"]
        yield f"### {name}\n"
        yield f"{_escaped(_sentence(part))}\n"
        own = [
            key
            for key in options.model_fields
            if key not in shared or key in vars(options).get("__annotations__", {})
        ]
        yield _table(keys(part, names=own)) if own else "It has no keys of its own.\n"
        yield _needs(options.requires, "The experiment needs:\n")


def _common(definition: str, options: type[Options]) -> str:
    return _table(keys(schema()["$defs"][definition], names=options.model_fields))


def _table(rows: Iterable[Key]) -> str:
    lines = (f"| `{key.name}` | {' | '.join(map(_escaped, key[1:]))} |" for key in rows)
    return "\n".join([HEAD, *lines, ""])


def _needs(requirements: Iterable[Requirement], title: str) -> str:
    """What kinds or choices need, as a list under a title."""
    lines = [
        f"- if {_conditions(needs.when)}: {_conditions(needs.needs)}"
        if needs.when
        else f"- {_conditions(needs.needs)}"
        for needs in requirements
    ]
    return "\n".join([title, *lines, ""]) if lines else ""


def _measures_need(name: str) -> str:
    """What the choices of a module of measures need."""
    options = kinds.options("measures", name)
    return "\n".join(
        f"- {_listed(needs.when or options.model_fields)}: {_conditions(needs.needs)}"
        for needs in options.requires
    )


def _listed(keys: Iterable[str]) -> str:
    return ", ".join(f"`{key}`" for key in keys)


def _conditions(conditions: Mapping[str, Condition]) -> str:
    return ", ".join(f"`{key}` is {condition.words}" for key, condition in conditions.items())


def _may_be(name: str, about: Part, *, nested: bool) -> str:
    if name in SECTIONS:
        return f"a mapping: {SECTIONS[name]}" if "title" not in about else allowed(about)
    if any("from" in option.get("properties", {}) for option in alternatives(about)):
        return "an axis: a list, or a range"
    words = allowed(about).replace("a finite number", "a number")
    return "a mapping" if nested and len(alternatives(about)) == 1 else words


def _default(about: Part) -> str:
    default = about.get("default", {})
    if default == {}:
        return ""
    values = default if isinstance(default, list) else [default]
    words = ", ".join(written(value).replace("'", "") for value in values)
    return f"`[{words}]`" if isinstance(default, list) else f"`{words}`"


def _description(about: Part) -> str:
    found = (part["description"] for part in [about, *alternatives(about)] if "description" in part)
    return " ".join(next(found, "").split()).removesuffix(".")


def _sentence(part: Part) -> str:
    words = _description(part)
    # a formula has no capital
    return f"{words if words[1:2] == '_' else words[:1].upper() + words[1:]}."


def _escaped(words: str) -> str:
    return words.replace("|", r"\|").replace("<", r"\<").replace("*", r"\*")
