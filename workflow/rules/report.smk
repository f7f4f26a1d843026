# What `snakemake --report` shows first: workflow.rst, with the summary, and the commit at that time.


report: "../report/workflow.rst"


# asked by workflow.rst alone, so that no result depends on them
config["report"] = {
    "commit": partial(commit_of, Path(workflow.basedir)),
    "summary": partial(Path("results/summary.html").read_text, encoding="utf-8"),
}
