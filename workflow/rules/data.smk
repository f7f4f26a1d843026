rule data:
    """All data sets."""
    input:
        [layout.data_files(*experiment, experiment[1]["grid"]["seed"]) for experiment in EXPERIMENTS.items()],


rule make_mixture:
    """Draw a Gaussian mixture, one file for every sigma."""
    input:
        code=code(
            "workflow/scripts/make_mixture.py",
            "nrc/__init__.py",
            "nrc/data/mixture.py",
            "nrc/store.py",
            "workflow/program.py",
        ),
    output:
        "results/data/mixture/{experiment}/seed~{seed}.nc",
    log:
        "results/logs/data/mixture/{experiment}/seed~{seed}.log",
    benchmark:
        "results/benchmarks/data/mixture/{experiment}/seed~{seed}.tsv"
    conda:
        "../../envs/nrc.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        settings=lambda wildcards: slice_of(wildcards, "data", seed=int(wildcards.seed)),
    shell:
        "python {input.code[0]} --settings {params.settings:q} --output {output:q} > {log:q} 2>&1"
