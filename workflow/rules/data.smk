rule data:
    """All data sets."""
    input:
        [paths.data_files(e["data"], e["grid"]["seed"], SETTINGS) for e in EXPERIMENTS.values()],


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
    if not hasattr(kinds.module("data", kind), "fetch"):
        continue
    parts = {part for entry in DATA.values() if entry["kind"] == kind for part in paths.fetched(entry)}

    rule:
        name:
            f"fetch_{kind}"
        input:
            lambda wildcards: bundled_files(wildcards.data, wildcards.part),
        output:
            "results/data/{data}/{part}.nc",
        log:
            "results/logs/data/{data}/{part}.log",
        benchmark:
            "results/benchmarks/data/{data}/{part}.tsv"
        wildcard_constraints:
            data=names_of_kind(kind),
            part="|".join(sorted(parts)) or "(?!)",
        priority: len(ORDER) + 1
        conda:
            ENVIRONMENT
        params:
            code=code_of("fetch_data.py", f"nrc.data.{kind}"),
            settings=lambda wildcards: settings_json(job_settings.fetch_slice, wildcards.data),
            bundled=str(ROOT / "resources" / kind),
        shell:
            f"python {SCRIPTS}/fetch_data.py"
            " --settings {params.settings:q} --part {wildcards.part:q}"
            " --bundled {params.bundled:q} --output {output:q} --log {log:q}"

    workflow.get_rule(f"fetch_{kind}").docstring = f"Fetch a file of {kind}, and check its bytes."
