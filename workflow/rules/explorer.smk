from nrc.explorer import PARTS


rule explorer:
    """Make one page to look at every network of every experiment in a browser, without a server."""
    input:
        measures=[cube_file(name) for name in EXPERIMENTS],
        parts=[str(ROOT / "nrc/explorer" / part) for part in PARTS],
    output:
        "results/explorer.html",
    log:
        "results/logs/explorer.log",
    benchmark:
        "results/benchmarks/explorer.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        code=code_of("explore.py"),
        made_by=[cube_by(name) for name in EXPERIMENTS],
        settings=literal(ordered_json(job_settings.explorer_slice)),
    shell:
        f"python {SCRIPTS}/explore.py"
        " --settings {params.settings:q} --measures {input.measures:q} --output {output:q} --log {log:q}"
