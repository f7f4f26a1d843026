# the cubes that the claims are judged on, by experiment and kind
CLAIM_CUBES = [
    "mixture/measures",
    "linear_product/shift",
    "linear/shift",
    "mnist/measures",
    "width/measures",
    "depth/measures",
]


rule judge_claims:
    """Judge the paper's claims on all experiments, by the rules of the configuration."""
    input:
        code=code(
            "workflow/scripts/judge_claims.py",
            "nrc/__init__.py",
            "nrc/claims.py",
            "nrc/store.py",
            "workflow/program.py",
        ),
        cubes=[f"results/{cube}.nc" for cube in CLAIM_CUBES],
    output:
        claims="results/claims.nc",
        markdown=report(
            "results/claims.md",
            caption="../report/claims.rst",
            category="Claims",
            labels={"shows": "verdict on every claim"},
        ),
    log:
        "results/logs/claims.log",
    benchmark:
        "results/benchmarks/claims.tsv"
    conda:
        "../../envs/nrc.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        settings=lambda wildcards: json.dumps(SETTINGS["claims"]),
        cubes=[f"{cube}=results/{cube}.nc" for cube in CLAIM_CUBES],
    shell:
        "python {input.code[0]} --settings {params.settings:q} --cubes {params.cubes:q}"
        " --output {output.claims:q} --markdown {output.markdown:q} > {log:q} 2>&1"
