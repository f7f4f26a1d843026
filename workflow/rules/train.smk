rule train:
    """All trained stacks."""
    input:
        [stack_files("train", *experiment) for experiment in EXPERIMENTS.items()],


TRAINED_BY = ("task", "network", "loss", "training")


rule train_stack:
    """Train the cells of a stack until each is stationary or out of budget."""
    input:
        data=data_files,
    output:
        "results/{experiment}/train/{cells}.nc",
    log:
        "results/logs/{experiment}/train/{cells}.log",
    benchmark:
        "results/benchmarks/{experiment}/train/{cells}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=stack_memory,
        runtime=times_attempt(60),
        gpu=1 if SETTINGS["device"] == "cuda" else 0,
    params:
        code=quick(
            lambda wildcards: code_of(
                "train.py", f"nrc.optimize.{experiment_of(wildcards)['training']['method']['name']}"
            )
        ),
        settings=quick(
            lambda wildcards: slice_of(
                wildcards, *TRAINED_BY, device=SETTINGS["device"], stack=stack_of(wildcards).axes
            )
        ),
    shell:
        "python {SCRIPTS}/train.py --settings {params.settings:q} --data {input.data:q}"
        " --output {output:q} --log {log:q}"
