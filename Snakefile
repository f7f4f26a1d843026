# Neural rank collapse: train grids of networks with weight decay, measure them, draw them.
#
#     snakemake                               every figure, the audit, the claims, the summary, the explorer
#     snakemake data|train|measures|figures   one stage of all experiments
#     snakemake -n                            what would run

from snakemake.utils import min_version

min_version("9.27")


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/audit.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/explorer.smk"
include: "workflow/rules/summary.smk"
include: "workflow/rules/report.smk"


# only for --software-deployment-method apptainer; envs/nrc.def describes how to build the image
container: "envs/nrc.sif"


localrules:
    all,
    data,
    train,
    measures,
    figures,
    report,


rule all:
    """Every figure, the audit, the claims, the summary and the explorer."""
    default_target: True
    input:
        rules.figures.input,
        rules.audit.output,
        rules.judge_claims.output if CLAIMS else [],
        rules.summarise.output,
        rules.explorer.output,


rule report:
    """All files in the report of `snakemake --report results/report.html`."""
    input:
        rules.all.input,
