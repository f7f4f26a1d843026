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
        made_by=lambda wildcards: measures_by(wildcards.experiment),
        settings=lambda wildcards: settings_json(job_settings.whole_slice, wildcards.experiment),
    shell:
        # thousands of paths are too long for a command line, but not for a command of the shell itself
        r"printf '%s\n' {input:q} |"
        f" python {SCRIPTS}/collect.py"
        " --settings {params.settings:q} --output {output:q} --log {log:q}"
