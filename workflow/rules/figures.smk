rule figures:
    """Every figure."""
    input:
        [f"results/figures/{name}.png" for name in SETTINGS["figures"]],


rule no_such_figure:
    """Report an error for a figure that is not in the configuration."""
    input:
        lambda wildcards: or_exit(paths.figure_of, wildcards.figure, SETTINGS) and [],
    output:
        [f"results/figures/{{figure}}.{ending}" for ending in ("png", "pdf", "svg", "csv", "rst")],
    wildcard_constraints:
        figure=f"(?!({'|'.join(SETTINGS['figures'])})[.])[^/]+",


for name, figure in SETTINGS["figures"].items():
    of = by_title(figure["of"])
    cubes = {title: cube_file(experiment, cube_of("figures", figure)) for title, experiment in of.items()}
    kind = f"nrc.figures.{figure['kind']}"

    rule:
        name:
            f"plot_{name}"
        input:
            cubes=list(cubes.values()),
            template=str(ROOT / f"workflow/report/{figure['kind']}.rst"),
        output:
            png=report(f"results/figures/{name}.png", **about_figure(name, "drawing")),
            pdf=f"results/figures/{name}.pdf",
            svg=f"results/figures/{name}.svg",
            numbers=f"results/figures/{name}.csv",
            caption=f"results/figures/{name}.rst",
        log:
            f"results/logs/figures/{name}.log",
        benchmark:
            f"results/benchmarks/figures/{name}.tsv"
        priority: len(ORDER) + 1  # figures take seconds, and users wait for them
        localrule: True
        conda:
            ENVIRONMENT
        params:
            code=code_of("plot.py", kind),
            made_by=[cube_by(experiment, cube_of("figures", figure)) for experiment in of.values()],
            settings=literal(ordered_json(job_settings.figure_slice, name)),
            cubes=literal([f"{title}={cube}" for title, cube in cubes.items()]),
        shell:
            f"python {SCRIPTS}/plot.py"
            " --settings {params.settings:q} --cubes {params.cubes:q}"
            " --template {input.template:q} --caption {output.caption:q} --numbers {output.numbers:q}"
            " --figures {output.png:q} {output.pdf:q} {output.svg:q} --log {log:q}"

    workflow.get_rule(f"plot_{name}").docstring = (
        f"{summary_of(kind)} Of {about_figure(name, '')['labels']['of']}."
    )
