rule train:
    """All trained stacks."""
    input:
        [paths.stack_files("train", *experiment) for experiment in EXPERIMENTS.items()],


rule train_stack:
    """Train the cells of a stack until each is stationary or out of budget."""
    input:
        data=data_files,
        warm_start=start_files,
    output:
        "results/{experiment}/train/{cells}.nc",
    log:
        "results/logs/{experiment}/train/{cells}.log",
    benchmark:
        "results/benchmarks/{experiment}/train/{cells}.tsv"
    priority: early_on_device
    conda:
        ENVIRONMENT
    # the number of cores does not change the results
    threads: STACK_THREADS
    resources:
        mem_mb=stack_memory,
        gpu=1 if SETTINGS["device"] == "cuda" else 0,
        tmpdir=None,  # the default of the environment; Snakemake would compute its own for every job
    params:
        made_by=quick(lambda wildcards: stack_by(networks_by, wildcards)),
        settings=quick(
            lambda wildcards: settings_json(
                job_settings.training_slice, wildcards.experiment, stack_of(wildcards)
            )
        ),
    shell:
        f"python {SCRIPTS}/train.py"
        " --settings {params.settings:q} --data {input.data:q} --warm-start {input.warm_start:q}"
        " --output {output:q} --threads {threads:q} --log {log:q}"
