rule compare_centroids:
    """Compare linear networks trained on data with linear networks trained on centroids."""
    input:
        data="results/{experiment}/measures.nc",
        centroids=lambda wildcards: cube_file(counterpart_of(wildcards.experiment)),
    output:
        "results/{experiment}/shift.nc",
    log:
        "results/logs/{experiment}/shift.log",
    benchmark:
        "results/benchmarks/{experiment}/shift.tsv"
    priority: early
    localrule: True
    conda:
        ENVIRONMENT
    params:
        code=code_of("compare_centroids.py"),
        made_by=lambda wildcards: cube_by(wildcards.experiment, "shift"),
        settings=lambda wildcards: settings_json(job_settings.whole_slice, wildcards.experiment),
    shell:
        f"python {SCRIPTS}/compare_centroids.py"
        " --settings {params.settings:q} --data {input.data:q}"
        " --centroids {input.centroids:q} --output {output:q} --log {log:q}"
