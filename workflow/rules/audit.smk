# Theorem 5.3 is about the penalty on the product, for networks trained on data and on centroids
AUDITED = [
    *(cube_file(name) for name in EXPERIMENTS),
    *(
        cube_file(name, "shift")
        for name, experiment in EXPERIMENTS.items()
        if PENALTIES[experiment["training"]["penalty"]].on_product
        and centroid_counterparts(name, EXPERIMENTS)
    ),
]


rule audit:
    """Check the statements on every cell of every experiment; fail where one is violated."""
    input:
        AUDITED,
    output:
        csv="results/audit.csv",
        markdown="results/audit.md",
    log:
        "results/logs/audit.log",
    benchmark:
        "results/benchmarks/audit.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        code=code_of("audit.py"),
        made_by=[cube_by(name) for name in EXPERIMENTS],
        settings=literal(settings_json(job_settings.audit_slice)),
    shell:
        f"python {SCRIPTS}/audit.py"
        " --settings {params.settings:q} --measures {input:q}"
        " --csv {output.csv:q} --markdown {output.markdown:q} --log {log:q}"
