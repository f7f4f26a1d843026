rule train:
    """All trained stacks."""
    input:
        [stack_files("train", *experiment) for experiment in EXPERIMENTS.items()],


rule train_stack:
    """Train the cells of a stack until each is stationary or out of budget."""
    input:
        code=code(
            "workflow/scripts/train.py",
            "nrc/__init__.py",
            "nrc/checkpoint.py",
            "nrc/data/mixture.py",
            "nrc/determinism.py",
            "nrc/grid.py",
            "nrc/network.py",
            "nrc/optimize/gradient_descent.py",
            "nrc/optimize/lbfgs.py",
            "nrc/optimize/levenberg_marquardt.py",
            "nrc/optimize/line_search.py",
            "nrc/optimize/minimise.py",
            "nrc/optimize/point.py",
            "nrc/stacks.py",
            "nrc/store.py",
            "workflow/earlier_cells.py",
            "workflow/program.py",
            "workflow/trained_file.py",
            "workflow/training.py",
        ),
        data=data_files,
    output:
        "results/{experiment}/train/{cells}.nc",
    log:
        "results/logs/{experiment}/train/{cells}.log",
    benchmark:
        "results/benchmarks/{experiment}/train/{cells}.tsv"
    wildcard_constraints:
        experiment=MIXTURES,
    conda:
        "../../envs/nrc.yaml"
    resources:
        mem_mb=stack_memory,
        runtime=lambda wildcards, attempt: 60 * attempt,
        gpu=1 if SETTINGS["device"] == "cuda" else 0,
    params:
        settings=lambda wildcards: slice_of(
            wildcards,
            "data",
            "network",
            "training",
            "device",
            "precision",
            stack=stack_of(wildcards).axes,
        ),
    shell:
        "python {input.code[0]} --settings {params.settings:q} --data {input.data:q}"
        " --output {output:q} --checkpoint-interval $CHECKPOINT_INTERVAL 2>&1"
        # a signal to all processes of a job must not end the log before its last line
        " | (trap '' INT TERM; tee {log:q})"
