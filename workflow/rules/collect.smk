rule collect:
    """Collect the measures of all cells of an experiment in one cube."""
    input:
        measured_files,
    output:
        "results/{experiment}/measures.nc",
    log:
        "results/logs/{experiment}/measures.log",
    benchmark:
        "results/benchmarks/{experiment}/measures.tsv"
    priority: early
    conda:
        ENVIRONMENT
    params:
        code=code_of("collect.py"),
        made_by=quick(lambda wildcards: measures_by(wildcards.experiment)),
        settings=quick(lambda wildcards: settings_json(job_settings.whole_slice, wildcards.experiment)),
    shell:
        # thousands of paths do not fit on a command line, but on a builtin's they do
        r"printf '%s\n' {input:q} |"
        f" python {SCRIPTS}/collect.py"
        " --settings {params.settings:q} --output {output:q} --log {log:q}"
