rule measures:
    """The measures of every experiment, a cube each."""
    input:
        [f"results/{name}/measures.nc" for name in EXPERIMENTS],


rule measure:
    """Measure rank, within-class variability and residuals of a trained stack."""
    input:
        code=code(
            "workflow/scripts/measure.py",
            "nrc/__init__.py",
            "nrc/bounds.py",
            "nrc/centroids.py",
            "nrc/clusters.py",
            "nrc/data/mixture.py",
            "nrc/determinism.py",
            "nrc/grid.py",
            "nrc/linear.py",
            "nrc/linear_measures.py",
            "nrc/measures.py",
            "nrc/network.py",
            "nrc/spectra.py",
            "nrc/stacks.py",
            "nrc/store.py",
            "workflow/program.py",
        ),
        data=data_files,
        trained="results/{experiment}/train/{cells}.nc",
    output:
        "results/{experiment}/measure/{cells}.nc",
    log:
        "results/logs/{experiment}/measure/{cells}.log",
    benchmark:
        "results/benchmarks/{experiment}/measure/{cells}.tsv"
    wildcard_constraints:
        experiment=MIXTURES,
    conda:
        "../../envs/nrc.yaml"
    resources:
        mem_mb=stack_memory,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        settings=lambda wildcards: slice_of(
            wildcards,
            "data",
            "measures",
            activation=experiment_of(wildcards)["network"]["activation"],
            loss_on=experiment_of(wildcards)["training"]["loss_on"],
            penalty=experiment_of(wildcards)["training"]["penalty"],
        ),
    shell:
        "python {input.code[0]} --settings {params.settings:q} --data {input.data:q}"
        " --trained {input.trained:q} --output {output:q} > {log:q} 2>&1"
