CLAIMS = SETTINGS["claims"]
# the cubes of all claims, by experiment and kind of cube
CLAIM_CUBES = {
    f"{name}/{cube}": cube_file(name, cube)
    for claim in CLAIMS.values()
    for cube in [cube_of("claims", claim)]
    for name in claim["of"]
}
STATISTICS = sorted({f"nrc.claims.statistics.{claim['statistic']}" for claim in CLAIMS.values()})


rule judge_claims:
    """Judge the claims, each within the limits of the configuration."""
    input:
        list(CLAIM_CUBES.values()),
    output:
        claims="results/claims.nc",
        table="results/claims.csv",
        markdown="results/claims.md",
    log:
        "results/logs/claims.log",
    benchmark:
        "results/benchmarks/claims.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        code=code_of("judge_claims.py", *STATISTICS),
        made_by=[cube_by(e, cube_of("claims", claim)) for claim in CLAIMS.values() for e in claim["of"]],
        settings=literal(ordered_json(job_settings.claims_slice)),
        cubes=[f"{cube}={path}" for cube, path in CLAIM_CUBES.items()],
    shell:
        f"python {SCRIPTS}/judge_claims.py"
        " --settings {params.settings:q} --cubes {params.cubes:q}"
        " --output {output.claims:q} --table {output.table:q} --markdown {output.markdown:q} --log {log:q}"
