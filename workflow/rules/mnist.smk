BUNDLED = [str(ROOT / f"resources/mnist/t10k-{part}-ubyte.gz") for part in ("images-idx3", "labels-idx1")]


rule fetch_mnist:
    """Fetch a split of MNIST, and check it byte by byte."""
    input:
        code=code(
            "workflow/scripts/fetch_mnist.py",
            "nrc/__init__.py",
            "nrc/data/mnist.py",
            "nrc/store.py",
            "workflow/program.py",
        ),
        bundled=BUNDLED,
    output:
        "results/data/mnist/{split}.nc",
    log:
        "results/logs/data/mnist/{split}.log",
    benchmark:
        "results/benchmarks/data/mnist/{split}.tsv"
    wildcard_constraints:
        split="train|test",
    conda:
        "../../envs/nrc.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        # a function, whose value Snakemake takes as it is: in a text it would look for wildcards
        settings=lambda wildcards: json.dumps(
            {key: EXPERIMENTS["mnist"]["data"][key] for key in ("source", "folder", "mirrors")}
        ),
        bundled=lambda wildcards, input: str(Path(input.bundled[0]).parent),
    shell:
        "python {input.code[0]} --settings {params.settings:q} --split {wildcards.split}"
        " --bundled {params.bundled:q} --output {output:q} > {log:q} 2>&1"


use rule train_stack as train_classifier with:
    input:
        code=code(
            "workflow/scripts/train_classifier.py",
            "nrc/__init__.py",
            "nrc/checkpoint.py",
            "nrc/classifiers.py",
            "nrc/clusters.py",
            "nrc/data/mixture.py",
            "nrc/data/mnist.py",
            "nrc/determinism.py",
            "nrc/grid.py",
            "nrc/network.py",
            "nrc/optimize/epochs.py",
            "nrc/optimize/lbfgs.py",
            "nrc/optimize/line_search.py",
            "nrc/optimize/minimise.py",
            "nrc/optimize/point.py",
            "nrc/stacks.py",
            "nrc/store.py",
            "workflow/earlier_cells.py",
            "workflow/program.py",
            "workflow/trained_file.py",
            "workflow/training.py",
        ),
        data=data_files,
    wildcard_constraints:
        experiment=CLASSIFIERS,
    params:
        settings=lambda wildcards: slice_of(
            wildcards, "data", "network", "training", "device", stack=stack_of(wildcards).axes
        ),


use rule measure as measure_classifier with:
    input:
        code=code(
            "workflow/scripts/measure_classifier.py",
            "nrc/__init__.py",
            "nrc/bounds.py",
            "nrc/centroids.py",
            "nrc/classifiers.py",
            "nrc/clusters.py",
            "nrc/data/mixture.py",
            "nrc/data/mnist.py",
            "nrc/determinism.py",
            "nrc/grid.py",
            "nrc/measures.py",
            "nrc/network.py",
            "nrc/optimize/point.py",
            "nrc/spectra.py",
            "nrc/stacks.py",
            "nrc/store.py",
            "workflow/program.py",
        ),
        data=data_files,
        trained="results/{experiment}/train/{cells}.nc",
    wildcard_constraints:
        experiment=CLASSIFIERS,
    params:
        settings=lambda wildcards: slice_of(
            wildcards,
            "data",
            "network",
            "measures",
            restarts=experiment_of(wildcards)["kmeans_restarts"],
        ),
