rule data:
    """All data sets."""
    input:
        [layout.data_files(e, e["grid"]["seed"], SETTINGS) for e in EXPERIMENTS.values()],


BUNDLED = [str(ROOT / f"resources/mnist/t10k-{part}-ubyte.gz") for part in ("images-idx3", "labels-idx1")]

# The rule of each kind of data; a new kind needs no line here.
DATA_RULES = {"mixture": "make_mixture", "mnist": "choose_images", "arrays": "import_arrays"}


def names_of(kind):
    """A regular expression for the data of a kind."""
    return "|".join(name for name, options in DATA.items() if options["kind"] == kind) or "(?!)"


@quick
def sources_of(wildcards):
    """The files that data are made from."""
    options = DATA[wildcards.data]
    if options["kind"] == "mnist":
        splits = ["test"] if options["source"] == "bundled" else ["train", "test"]
        return [f"results/data/{wildcards.data}/{split}.nc" for split in splits]
    return [options["file"]] if "file" in options else []


@quick
def data_settings(wildcards):
    seed = or_exit(layout.seed_of, wildcards.data, wildcards.seed) if "seed" in wildcards.keys() else 0
    return json.dumps(
        {"experiment": wildcards.data, "data": data_options(wildcards.data), "seed": seed}, sort_keys=True
    )


for kind in dict.fromkeys([*DATA_RULES, *(options["kind"] for options in DATA.values())]):
    place = "{data}/seed~{seed}" if data_kinds.kind(kind).SEEDED else "{data}/points"

    rule:
        name:
            DATA_RULES.get(kind, f"make_{kind}")
        input:
            files=sources_of,
        output:
            f"results/data/{place}.nc",
        log:
            f"results/logs/data/{place}.log",
        benchmark:
            f"results/benchmarks/data/{place}.tsv"
        wildcard_constraints:
            data=names_of(kind),
        conda:
            ENVIRONMENT
        params:
            code=code_of("make_data.py", f"nrc.data.{kind}"),
            settings=data_settings,
        shell:
            f"python {SCRIPTS}/make_data.py"
            " --settings {params.settings:q} --files {input.files:q}"
            " --output {output:q} --log {log:q}"

    workflow.get_rule(DATA_RULES.get(kind, f"make_{kind}")).docstring = summary_of(f"nrc.data.{kind}")


rule fetch_mnist:
    """Fetch a split of MNIST, and check it byte by byte."""
    input:
        lambda wildcards: BUNDLED if DATA[wildcards.data]["source"] == "bundled" else [],
    output:
        "results/data/{data}/{split}.nc",
    log:
        "results/logs/data/{data}/{split}.log",
    benchmark:
        "results/benchmarks/data/{data}/{split}.tsv"
    wildcard_constraints:
        data=names_of("mnist"),
        split="train|test",
    conda:
        ENVIRONMENT
    params:
        code=code_of("fetch_mnist.py"),
        settings=lambda wildcards: json.dumps(
            {key: DATA[wildcards.data][key] for key in ("source", "folder", "mirrors")}
        ),
        bundled=str(ROOT / "resources/mnist"),
    shell:
        f"python {SCRIPTS}/fetch_mnist.py"
        " --settings {params.settings:q} --split {wildcards.split}"
        " --bundled {params.bundled:q} --output {output:q} --log {log:q}"
