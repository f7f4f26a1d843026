# The page to read first, alone or as the start of the report, and tables that a reader can sort.
TABLES = {
    **({"claims": "every part of every claim"} if CLAIMS else {}),
    "audit": "every statement, by experiment",
    "networks": "the outcome of each training",
    "settings": "every key",
}


rule summarise:
    """Summarise claims, audit, networks and settings, and tabulate the numbers behind each figure."""
    input:
        cubes=AUDITED,
        claims=rules.judge_claims.output.claims if CLAIMS else [],
        audit=rules.audit.output.csv,
        data=list(dict.fromkeys(rules.data.input)),
        numbers=[f"results/figures/{name}.csv" for name in SETTINGS["figures"]],
        captions=[f"results/figures/{name}.rst" for name in SETTINGS["figures"]],
        templates=[
            str(ROOT / "workflow/report" / name)
            for name in (
                "summary.html",
                "page.html",
                "page.css",
                "page.js",
                *(f"{table}.rst" for table in TABLES),
            )
        ],
    output:
        summary="results/summary.html",
        tables=[
            report(
                f"results/{table}.html",
                caption=f"../report/{table}.rst",
                category="Tables",
                labels={"table": table, "content": content},
            )
            for table, content in TABLES.items()
        ],
        numbers=[
            report(f"results/figures/{name}.html", **about_figure(name, "numbers"))
            for name in SETTINGS["figures"]
        ],
    log:
        "results/logs/summary.log",
    benchmark:
        "results/benchmarks/summary.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        code=code_of("summarise.py"),
        made_by=[cube_by(name) for name in EXPERIMENTS],
        settings=literal(ordered_json(job_settings.summary_slice)),
    shell:
        f"python {SCRIPTS}/summarise.py"
        " --settings {params.settings:q} --cubes {input.cubes:q} --claims {input.claims:q}"
        " --audit {input.audit:q} --data {input.data:q} --numbers {input.numbers:q} --output results --log {log:q}"
