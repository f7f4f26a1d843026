# Neural rank collapse: train grids of networks with weight decay, measure them, draw them.
#
#     snakemake                       every figure, and the audit
#     snakemake data|train|measures   one stage of all experiments
#     snakemake -n                    what would run

from snakemake.utils import min_version

min_version("9.20")


configfile: f"{workflow.basedir}/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/audit.smk"


report: "workflow/report/workflow.rst"


localrules:
    all,
    data,
    train,
    measures,
    figures,
    plot_figure1,
    plot_bounds,
    plot_figure2,
    plot_forecast,
    compare_centroids,
    audit,


rule all:
    """Every figure, and the audit."""
    default_target: True
    input:
        rules.figures.input,
        rules.audit.output,
