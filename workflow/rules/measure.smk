rule measures:
    """The measures of every experiment, one cube per experiment."""
    input:
        [cube_file(name) for name in EXPERIMENTS],


rule measure:
    """Measure rank, within-class variability and residuals of a trained stack."""
    input:
        data=data_files,
        trained="results/{experiment}/train/{cells}.nc",
    output:
        "results/{experiment}/measure/{cells}.nc",
    log:
        "results/logs/{experiment}/measure/{cells}.log",
    benchmark:
        "results/benchmarks/{experiment}/measure/{cells}.tsv"
    priority: early
    conda:
        ENVIRONMENT
    resources:
        mem_mb=stack_memory,
        tmpdir=None,
    params:
        made_by=quick(lambda wildcards: stack_by(measures_by, wildcards)),
        settings=quick(lambda wildcards: measure_settings(wildcards.experiment)),
    shell:
        f"python {SCRIPTS}/measure.py"
        " --settings {params.settings:q} --data {input.data:q}"
        " --trained {input.trained:q} --output {output:q} --log {log:q}"
