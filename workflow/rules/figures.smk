rule figures:
    """Every figure."""
    input:
        "results/figures/figure1.png",
        "results/figures/bounds.png",
        "results/figures/figure2.png",
        "results/figures/forecast.png",
        expand(
            "results/figures/{name}.png",
            name=["figure3", "figure4", "figure5", "figure4_supplement", "figure5_supplement"],
        ),


rule plot_figure1:
    """Draw Figure 1: rank over the plane of sigma and weight decay, and the TCV of the data."""
    input:
        code=code(
            "workflow/scripts/plot_figure1.py",
            "nrc/__init__.py",
            "nrc/figures/figure1.py",
            "nrc/figures/style.py",
            "nrc/store.py",
            "workflow/figure_program.py",
            "workflow/program.py",
        ),
        measures="results/mixture/measures.nc",
        template=str(ROOT / "workflow/report/figure1.rst"),
    output:
        png=report(
            "results/figures/figure1.png",
            caption=Path("results/figures/figure1.rst").absolute(),
            category="Gaussian mixture",
            labels={"figure": "1", "shows": "rank over sigma and weight decay"},
        ),
        pdf="results/figures/figure1.pdf",
        svg="results/figures/figure1.svg",
        numbers=report(
            "results/figures/figure1.csv",
            caption=Path("results/figures/figure1.rst").absolute(),
            category="Gaussian mixture",
            labels={"figure": "1", "shows": "the numbers drawn"},
        ),
        caption="results/figures/figure1.rst",
    log:
        "results/logs/figures/figure1.log",
    benchmark:
        "results/benchmarks/figures/figure1.tsv"
    conda:
        "../../envs/nrc.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        settings=lambda wildcards: json.dumps(
            {
                **{key: EXPERIMENTS["mixture"][key] for key in ("data", "network", "training")},
                "measures": SETTINGS["measures"],
                "figure": SETTINGS["figures"]["figure1"],
            },
            sort_keys=True,
        ),
    shell:
        "python {input.code[0]} --settings {params.settings:q} --measures {input.measures:q}"
        " --figures {output.png:q} {output.pdf:q} {output.svg:q} --numbers {output.numbers:q}"
        " --caption-template {input.template:q} --caption {output.caption:q} > {log:q} 2>&1"


use rule plot_figure1 as plot_bounds with:
    input:
        code=code(
            "workflow/scripts/plot_bounds.py",
            "nrc/__init__.py",
            "nrc/figures/bounds.py",
            "nrc/figures/style.py",
            "nrc/grid.py",
            "nrc/store.py",
            "workflow/figure_program.py",
            "workflow/program.py",
        ),
        measures="results/mixture/measures.nc",
        template=str(ROOT / "workflow/report/bounds.rst"),
    output:
        png=report(
            "results/figures/bounds.png",
            caption=Path("results/figures/bounds.rst").absolute(),
            category="Gaussian mixture",
            labels={"figure": "bounds", "shows": "distance to rank K against Theorem 3.4"},
        ),
        pdf="results/figures/bounds.pdf",
        svg="results/figures/bounds.svg",
        numbers=report(
            "results/figures/bounds.csv",
            caption=Path("results/figures/bounds.rst").absolute(),
            category="Gaussian mixture",
            labels={"figure": "bounds", "shows": "the numbers drawn"},
        ),
        caption="results/figures/bounds.rst",
    log:
        "results/logs/figures/bounds.log",
    benchmark:
        "results/benchmarks/figures/bounds.tsv"
    params:
        settings=lambda wildcards: json.dumps(
            {"data": EXPERIMENTS["mixture"]["data"], "figure": SETTINGS["figures"]["bounds"]}, sort_keys=True
        ),


use rule plot_figure1 as plot_figure2 with:
    input:
        code=code(
            "workflow/scripts/plot_figure2.py",
            "nrc/__init__.py",
            "nrc/figures/figure2.py",
            "nrc/figures/style.py",
            "nrc/store.py",
            "workflow/figure_program.py",
            "workflow/program.py",
        ),
        measures=["results/linear_product/shift.nc", "results/linear/shift.nc"],
        template=str(ROOT / "workflow/report/figure2.rst"),
    output:
        png=report(
            "results/figures/figure2.png",
            caption=Path("results/figures/figure2.rst").absolute(),
            category="Linear networks",
            labels={"figure": "2", "shows": "from data to centroids"},
        ),
        pdf="results/figures/figure2.pdf",
        svg="results/figures/figure2.svg",
        numbers=report(
            "results/figures/figure2.csv",
            caption=Path("results/figures/figure2.rst").absolute(),
            category="Linear networks",
            labels={"figure": "2", "shows": "the numbers drawn"},
        ),
        caption="results/figures/figure2.rst",
    log:
        "results/logs/figures/figure2.log",
    benchmark:
        "results/benchmarks/figures/figure2.tsv"
    params:
        settings=lambda wildcards: json.dumps(
            {
                **{key: EXPERIMENTS["linear"][key] for key in ("data", "grid")},
                "figure": SETTINGS["figures"]["figure2"],
            },
            sort_keys=True,
        ),


use rule plot_figure1 as plot_forecast with:
    input:
        code=code(
            "workflow/scripts/plot_forecast.py",
            "nrc/__init__.py",
            "nrc/figures/forecast.py",
            "nrc/figures/style.py",
            "nrc/store.py",
            "workflow/figure_program.py",
            "workflow/program.py",
        ),
        measures="results/linear/measures.nc",
        template=str(ROOT / "workflow/report/forecast.rst"),
    output:
        png=report(
            "results/figures/forecast.png",
            caption=Path("results/figures/forecast.rst").absolute(),
            category="Linear networks",
            labels={"figure": "forecast", "shows": "singular values before and after training"},
        ),
        pdf="results/figures/forecast.pdf",
        svg="results/figures/forecast.svg",
        numbers=report(
            "results/figures/forecast.csv",
            caption=Path("results/figures/forecast.rst").absolute(),
            category="Linear networks",
            labels={"figure": "forecast", "shows": "the numbers drawn"},
        ),
        caption="results/figures/forecast.rst",
    log:
        "results/logs/figures/forecast.log",
    benchmark:
        "results/benchmarks/figures/forecast.tsv"
    params:
        settings=lambda wildcards: json.dumps(
            {
                **{key: EXPERIMENTS["linear"][key] for key in ("data",)},
                "figure": SETTINGS["figures"]["forecast"],
            },
            sort_keys=True,
        ),


use rule plot_figure1 as plot_figure3 with:
    input:
        code=code(
            "workflow/scripts/plot_figure3.py",
            "nrc/__init__.py",
            "nrc/figures/figure3.py",
            "nrc/figures/style.py",
            "nrc/grid.py",
            "nrc/spectra.py",
            "nrc/store.py",
            "workflow/figure_program.py",
            "workflow/program.py",
        ),
        measures="results/mnist/measures.nc",
        template=str(ROOT / "workflow/report/figure3.rst"),
    output:
        png=report(
            "results/figures/figure3.png",
            caption=Path("results/figures/figure3.rst").absolute(),
            category="MNIST",
            labels={"figure": "3", "shows": "spectra through training"},
        ),
        pdf="results/figures/figure3.pdf",
        svg="results/figures/figure3.svg",
        numbers=report(
            "results/figures/figure3.csv",
            caption=Path("results/figures/figure3.rst").absolute(),
            category="MNIST",
            labels={"figure": "3", "shows": "the numbers drawn"},
        ),
        caption="results/figures/figure3.rst",
    log:
        "results/logs/figures/figure3.log",
    benchmark:
        "results/benchmarks/figures/figure3.tsv"
    params:
        settings=lambda wildcards: json.dumps(
            {
                **{key: EXPERIMENTS["mnist"][key] for key in ("data", "network", "training")},
                "figure": SETTINGS["figures"]["figure3"],
            },
            sort_keys=True,
        ),


use rule plot_figure1 as plot_figure4 with:
    input:
        code=code(
            "workflow/scripts/plot_figure4.py",
            "nrc/__init__.py",
            "nrc/figures/rank_curves.py",
            "nrc/figures/style.py",
            "nrc/grid.py",
            "nrc/store.py",
            "workflow/figure_program.py",
            "workflow/program.py",
        ),
        measures="results/width/measures.nc",
        template=str(ROOT / "workflow/report/figure4.rst"),
    output:
        png=report(
            "results/figures/figure4.png",
            caption=Path("results/figures/figure4.rst").absolute(),
            category="MNIST",
            labels={"figure": "4", "shows": "rank against width"},
        ),
        pdf="results/figures/figure4.pdf",
        svg="results/figures/figure4.svg",
        numbers=report(
            "results/figures/figure4.csv",
            caption=Path("results/figures/figure4.rst").absolute(),
            category="MNIST",
            labels={"figure": "4", "shows": "the numbers drawn"},
        ),
        caption="results/figures/figure4.rst",
    log:
        "results/logs/figures/figure4.log",
    benchmark:
        "results/benchmarks/figures/figure4.tsv"
    params:
        settings=lambda wildcards: json.dumps(
            {
                **{key: EXPERIMENTS["width"][key] for key in ("data", "network", "training")},
                "figure": SETTINGS["figures"]["figure4"],
                "ranks": [SETTINGS["figures"]["figure4"]["rank"]],
            },
            sort_keys=True,
        ),


use rule plot_figure1 as plot_figure4_supplement with:
    input:
        code=code(
            "workflow/scripts/plot_figure4.py",
            "nrc/__init__.py",
            "nrc/figures/rank_curves.py",
            "nrc/figures/style.py",
            "nrc/grid.py",
            "nrc/store.py",
            "workflow/figure_program.py",
            "workflow/program.py",
        ),
        measures="results/width/measures.nc",
        template=str(ROOT / "workflow/report/figure4.rst"),
    output:
        png=report(
            "results/figures/figure4_supplement.png",
            caption=Path("results/figures/figure4_supplement.rst").absolute(),
            category="MNIST",
            labels={"figure": "4, supplement", "shows": "rank against width"},
        ),
        pdf="results/figures/figure4_supplement.pdf",
        svg="results/figures/figure4_supplement.svg",
        numbers=report(
            "results/figures/figure4_supplement.csv",
            caption=Path("results/figures/figure4_supplement.rst").absolute(),
            category="MNIST",
            labels={"figure": "4, supplement", "shows": "the numbers drawn"},
        ),
        caption="results/figures/figure4_supplement.rst",
    log:
        "results/logs/figures/figure4_supplement.log",
    benchmark:
        "results/benchmarks/figures/figure4_supplement.tsv"
    params:
        settings=lambda wildcards: json.dumps(
            {
                **{key: EXPERIMENTS["width"][key] for key in ("data", "network", "training")},
                "figure": SETTINGS["figures"]["figure4"],
                "ranks": other_ranks("figure4"),
            },
            sort_keys=True,
        ),


use rule plot_figure1 as plot_figure5 with:
    input:
        code=code(
            "workflow/scripts/plot_figure5.py",
            "nrc/__init__.py",
            "nrc/figures/rank_curves.py",
            "nrc/figures/style.py",
            "nrc/grid.py",
            "nrc/store.py",
            "workflow/figure_program.py",
            "workflow/program.py",
        ),
        measures="results/depth/measures.nc",
        template=str(ROOT / "workflow/report/figure5.rst"),
    output:
        png=report(
            "results/figures/figure5.png",
            caption=Path("results/figures/figure5.rst").absolute(),
            category="MNIST",
            labels={"figure": "5", "shows": "rank against depth"},
        ),
        pdf="results/figures/figure5.pdf",
        svg="results/figures/figure5.svg",
        numbers=report(
            "results/figures/figure5.csv",
            caption=Path("results/figures/figure5.rst").absolute(),
            category="MNIST",
            labels={"figure": "5", "shows": "the numbers drawn"},
        ),
        caption="results/figures/figure5.rst",
    log:
        "results/logs/figures/figure5.log",
    benchmark:
        "results/benchmarks/figures/figure5.tsv"
    params:
        settings=lambda wildcards: json.dumps(
            {
                **{key: EXPERIMENTS["depth"][key] for key in ("data", "network", "training")},
                "figure": SETTINGS["figures"]["figure5"],
                "ranks": [SETTINGS["figures"]["figure5"]["rank"]],
            },
            sort_keys=True,
        ),


use rule plot_figure1 as plot_figure5_supplement with:
    input:
        code=code(
            "workflow/scripts/plot_figure5.py",
            "nrc/__init__.py",
            "nrc/figures/rank_curves.py",
            "nrc/figures/style.py",
            "nrc/grid.py",
            "nrc/store.py",
            "workflow/figure_program.py",
            "workflow/program.py",
        ),
        measures="results/depth/measures.nc",
        template=str(ROOT / "workflow/report/figure5.rst"),
    output:
        png=report(
            "results/figures/figure5_supplement.png",
            caption=Path("results/figures/figure5_supplement.rst").absolute(),
            category="MNIST",
            labels={"figure": "5, supplement", "shows": "rank against depth"},
        ),
        pdf="results/figures/figure5_supplement.pdf",
        svg="results/figures/figure5_supplement.svg",
        numbers=report(
            "results/figures/figure5_supplement.csv",
            caption=Path("results/figures/figure5_supplement.rst").absolute(),
            category="MNIST",
            labels={"figure": "5, supplement", "shows": "the numbers drawn"},
        ),
        caption="results/figures/figure5_supplement.rst",
    log:
        "results/logs/figures/figure5_supplement.log",
    benchmark:
        "results/benchmarks/figures/figure5_supplement.tsv"
    params:
        settings=lambda wildcards: json.dumps(
            {
                **{key: EXPERIMENTS["depth"][key] for key in ("data", "network", "training")},
                "figure": SETTINGS["figures"]["figure5"],
                "ranks": other_ranks("figure5"),
            },
            sort_keys=True,
        ),
