# What a reader opens first, by itself or as the start of the report, and tables that sort.
TABLES = {
    "claims": "every part of every claim",
    "audit": "every statement, by experiment",
    "networks": "how each network ended",
    "settings": "every key",
}
if not CLAIMS:
    del TABLES["claims"]
TEMPLATES = ROOT / "workflow/report"


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
            str(TEMPLATES / name)
            for name in (
                *("summary.html", "page.html", "macros.html", "page.css", "page.js"),
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
                labels={"table": table, "holds": holds},
            )
            for table, holds in TABLES.items()
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
        settings=as_it_is(settings_json(job_settings.summary_slice)),
        claims="--claims results/claims.nc" if CLAIMS else "",
    shell:
        f"python {SCRIPTS}/summarise.py"
        " --settings {params.settings:q} --cubes {input.cubes:q} {params.claims}"
        f" --audit {{input.audit:q}} --data {{input.data:q}} --templates {quote(str(TEMPLATES))}"
        " --pages {output.summary:q} {output.tables:q}"
        " --numbers {input.numbers:q} --captions {input.captions:q} --numbers-pages {output.numbers:q}"
        " --log {log:q}"
