rule data:
    """All data sets."""
    input:
        [paths.data_files(e["data"], e["grid"]["seed"], SETTINGS) for e in EXPERIMENTS.values()],


BUNDLED = [str(ROOT / f"resources/mnist/t10k-{part}-ubyte.gz") for part in ("images-idx3", "labels-idx1")]


for kind in kinds.names("data"):
    about = kinds.options("data", kind)
    place = "{data}/seed~{seed}" if about.seeded else "{data}/points"
    data_rule = about.rule or f"make_{kind}"

    rule:
        name:
            data_rule
        input:
            files=lambda wildcards: paths.source_files(wildcards.data, SETTINGS),
        output:
            f"results/data/{place}.nc",
        log:
            f"results/logs/data/{place}.log",
        benchmark:
            f"results/benchmarks/data/{place}.tsv"
        wildcard_constraints:
            data=names_of_kind(kind),
        priority: len(ORDER) + 1  # short, and all other jobs depend on data
        conda:
            ENVIRONMENT
        params:
            code=code_of("make_data.py", f"nrc.data.{kind}"),
            settings=data_settings,
        shell:
            f"python {SCRIPTS}/make_data.py"
            " --settings {params.settings:q} --files {input.files:q}"
            " --output {output:q} --log {log:q}"

    workflow.get_rule(data_rule).docstring = summary_of(f"nrc.data.{kind}")


# `paths.source_files` names the files of this rule, from which `make_mnist` selects images
rule fetch_mnist:
    """Fetch a split of MNIST, and check its bytes."""
    input:
        lambda wildcards: BUNDLED if DATA[wildcards.data]["source"] == "bundled" else [],
    output:
        "results/data/{data}/{split}.nc",
    log:
        "results/logs/data/{data}/{split}.log",
    benchmark:
        "results/benchmarks/data/{data}/{split}.tsv"
    wildcard_constraints:
        data=names_of_kind("mnist"),
        split="train|test",
    priority: len(ORDER) + 1
    conda:
        ENVIRONMENT
    params:
        code=code_of("fetch_mnist.py"),
        settings=lambda wildcards: settings_json(job_settings.fetch_slice, wildcards.data),
        bundled=str(ROOT / "resources/mnist"),
    shell:
        f"python {SCRIPTS}/fetch_mnist.py"
        " --settings {params.settings:q} --split {wildcards.split}"
        " --bundled {params.bundled:q} --output {output:q} --log {log:q}"
