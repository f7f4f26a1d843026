rule compare_centroids:
    """Compare linear networks trained on data with those trained on centroids (Figure 2)."""
    input:
        code=code(
            "workflow/scripts/compare_centroids.py",
            "nrc/__init__.py",
            "nrc/linear.py",
            "nrc/linear_measures.py",
            "nrc/store.py",
            "workflow/program.py",
        ),
        data="results/{experiment}/measures.nc",
        centroids="results/{experiment}_centroids/measures.nc",
    output:
        "results/{experiment}/shift.nc",
    log:
        "results/logs/{experiment}/shift.log",
    benchmark:
        "results/benchmarks/{experiment}/shift.tsv"
    conda:
        "../../envs/nrc.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        settings=lambda wildcards: slice_of(wildcards, "data", "grid", "network", "training"),
    shell:
        "python {input.code[0]} --settings {params.settings:q} --data {input.data:q}"
        " --centroids {input.centroids:q} --output {output:q} > {log:q} 2>&1"
