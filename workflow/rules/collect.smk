rule collect:
    """Collect the measures of all cells of an experiment in one cube."""
    input:
        code=code(
            "workflow/scripts/collect.py",
            "nrc/__init__.py",
            "nrc/grid.py",
            "nrc/store.py",
            "workflow/program.py",
        ),
        measured=lambda wildcards: stack_files("measure", wildcards.experiment, experiment_of(wildcards)),
    output:
        "results/{experiment}/measures.nc",
    log:
        "results/logs/{experiment}/measures.log",
    benchmark:
        "results/benchmarks/{experiment}/measures.tsv"
    conda:
        "../../envs/nrc.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        settings=lambda wildcards: slice_of(
            wildcards, "data", "grid", "network", "training", "stack", "device", "measures"
        ),
    shell:
        # thousands of paths do not fit on a command line, but on a builtin's they do
        r"printf '%s\n' {input.measured:q} |"
        " python {input.code[0]} --settings {params.settings:q} --output {output:q} > {log:q} 2>&1"
