rule measures:
    """The measures of every experiment, a cube each."""
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
    conda:
        ENVIRONMENT
    resources:
        mem_mb=stack_memory,
        runtime=times_attempt(30),
    params:
        code=code_of("measure.py"),
        settings=quick(
            lambda wildcards: slice_of(
                wildcards,
                *("task", "network", "loss", "measures"),
                data=data_options(experiment_of(wildcards)["data"]),
                loss_on=experiment_of(wildcards)["training"]["loss_on"],
                penalty=experiment_of(wildcards)["training"]["penalty"],
            )
        ),
    shell:
        "python {SCRIPTS}/measure.py --settings {params.settings:q} --data {input.data:q}"
        " --trained {input.trained:q} --output {output:q} --log {log:q}"
