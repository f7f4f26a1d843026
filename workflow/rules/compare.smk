@quick
def twin_of(wildcards):
    """The cube of the same networks trained on centroids."""
    experiment_named(wildcards.experiment)
    return cube_file(or_exit(twin_on_centroids, wildcards.experiment, EXPERIMENTS))


rule compare_centroids:
    """Compare linear networks trained on data with those trained on centroids."""
    input:
        data="results/{experiment}/measures.nc",
        centroids=twin_of,
    output:
        "results/{experiment}/shift.nc",
    log:
        "results/logs/{experiment}/shift.log",
    benchmark:
        "results/benchmarks/{experiment}/shift.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        code=code_of("compare_centroids.py"),
        settings=whole_of,
    shell:
        f"python {SCRIPTS}/compare_centroids.py"
        " --settings {params.settings:q} --data {input.data:q}"
        " --centroids {input.centroids:q} --output {output:q} --log {log:q}"
