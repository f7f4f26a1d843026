rule audit:
    """Check the statements on every cell of every experiment; fail where one is violated."""
    input:
        code=code(
            "workflow/scripts/audit.py",
            "nrc/__init__.py",
            "nrc/audit.py",
            "nrc/grid.py",
            "nrc/store.py",
            "workflow/program.py",
        ),
        measures=[
            *(f"results/{name}/measures.nc" for name in EXPERIMENTS),
            # Theorem 5.3 is about the penalty on the product
            "results/linear_product/shift.nc",
        ],
    output:
        csv=report(
            "results/audit.csv",
            caption="../report/audit.rst",
            category="Audit",
            labels={"shows": "statements checked on every cell"},
        ),
        markdown="results/audit.md",
    log:
        "results/logs/audit.log",
    benchmark:
        "results/benchmarks/audit.tsv"
    conda:
        "../../envs/nrc.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        settings=lambda wildcards: json.dumps({"delta": SETTINGS["measures"]["delta"]}),
    shell:
        "python {input.code[0]} --settings {params.settings:q} --measures {input.measures:q}"
        " --csv {output.csv:q} --markdown {output.markdown:q} > {log:q} 2>&1"
