# The start page of `snakemake --report` is workflow.rst, with the summary and the commit at the time of the report.


report: "../report/workflow.rst"


# only workflow.rst calls these, so that no result depends on them
config["report"] = {
    "commit": partial(commit_of, Path(workflow.basedir)),
    "summary": partial(Path("results/summary.html").read_text, encoding="utf-8"),
}
