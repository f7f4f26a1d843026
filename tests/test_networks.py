"""Networks of kinds other than mlp: their objective by plain torch, their training, and what is refused."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import nrc
from nrc import kinds
from nrc.batching import architecture_of, initial_parameters, load_points, regularised_loss, sample
from nrc.data.points import Points
from nrc.explorer.page import page
from nrc.figures.style import styled
from nrc.grid import Stack
from nrc.measures.curvature import curvature, smallest_found
from nrc.networks import architecture
from nrc.networks.module import of_function
from nrc.objectives.module_loss import twice_differentiable
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.random_streams import Stream, integer_seed
from nrc.training.checkpoint import Checkpoint
from nrc.training.trained_file import trained_parameters
from support.checkout import TINY
from support.configurations import refused
from support.own_nets import chain, gated, tokens
from support.pages import done
from support.refusals import refusal

STACK = {"weight_decay": [0.003, 0.03], "sigma": [0.0, 0.2], "width": 4, "depth": 3, "seed": 5}
KINDS = {
    **{kind: kind for kind in ("residual", "convolution", "attention")},
    **{"gated": gated, "tokens": tokens},
}


def images(count=18, side=4, classes=3):
    rng = np.random.default_rng(3)
    labels = np.arange(count) % classes
    base = rng.normal(size=(classes, side**2))[labels] + 0.3 * rng.normal(size=(count, side**2))
    return Points(5, base, labels, image_shape=(1, side, side))


def objective(network, stack=STACK, loss="cross_entropy", dtype=torch.float64):
    stack, points = Stack(stack), {5: images()}
    inputs = sample(stack, points, "classify")
    of = architecture_of(stack, (1, 4, 4), 3, network)
    theta = initial_parameters(stack, of).to(dtype)
    return regularised_loss(stack, of, inputs, dtype, loss=loss), theta + 0.1 * torch.cos(
        torch.arange(theta.numel()).view_as(theta)
    ).to(dtype)


def plain_loss(of, theta, x, y, decay, loss):
    """The regularised loss of one cell by a module with its own parameters."""
    module = of.module(theta)
    output = module(x.reshape(-1, 1, 4, 4) if of.input_shape != (16,) else x)
    if loss == "cross_entropy":
        value = nn.functional.cross_entropy(output, y)
    else:
        value = (output - y).square().sum() / (2 * len(y))
    parameters = list(module.parameters())
    return value + decay / 2 * sum(p.square().sum() for p in parameters), parameters


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("kind", KINDS)
@twice_differentiable()
def test_values_gradients_and_hessians_are_those_of_plain_torch(kind, loss):
    function, theta = objective(KINDS[kind], loss=loss)
    v = torch.sin(torch.arange(theta.numel()).double()).view_as(theta)
    point, product = function.at(theta), function.hessian(theta)(v)
    inputs = sample(Stack(STACK), {5: images()}, "classify").of_cells(4)
    for cell in range(4):
        x, y = torch.from_numpy(inputs.x[cell]), torch.from_numpy(inputs.y[cell])
        decay = [0.003, 0.003, 0.03, 0.03][cell]
        value, parameters = plain_loss(function.architecture, theta[cell], x, y, decay, loss)
        gradient = torch.autograd.grad(value, parameters, create_graph=True)
        flat = torch.cat([g.flatten() for g in gradient])
        along = torch.autograd.grad(flat @ v[cell], parameters)
        for found, expected in (
            (point.value[cell], value),
            (point.gradient[cell], flat),
            (product[cell], torch.cat([a.flatten() for a in along])),
        ):
            torch.testing.assert_close(found, expected.detach(), rtol=1e-9, atol=1e-12)


def test_a_chain_of_the_user_is_the_network_of_the_kind_mlp():
    own, theta = objective(chain)
    mlp, _ = objective({"activation": "tanh", "bias": True})
    assert isinstance(mlp, RegularisedLoss)
    arrays = own.architecture.arrays(theta)
    weights, biases = ([arrays[f"{l}.{of}"] for l in (1, 3, 5)] for of in ("weight", "bias"))
    reordered = mlp.architecture.join(weights, biases)
    point, expected = own.at(theta), mlp.at(reordered)
    torch.testing.assert_close(point.value, expected.value)
    gradient = own.architecture.arrays(point.gradient)
    for name, of_mlp in zip(("1.weight", "5.bias"), ("W1", "b3"), strict=True):
        expected_gradient = mlp.architecture.arrays(expected.gradient)[of_mlp]
        torch.testing.assert_close(gradient[name], expected_gradient)


@pytest.mark.parametrize("kind", KINDS)
def test_initial_weights_are_those_of_torch_by_the_seed_alone(kind):
    of = architecture(KINDS[kind], (1, 4, 4), 3, 4, 3)
    random_state = torch.get_rng_state()
    first = of.initial(7)
    assert torch.equal(torch.get_rng_state(), random_state)
    torch.rand(3)
    assert torch.equal(of.initial(7), first)
    assert not torch.equal(of.initial(8), first)
    torch.manual_seed(integer_seed(7, Stream.INITIAL_WEIGHTS))
    assert torch.equal(torch.cat([p.flatten() for p in of.make().parameters()]).double(), first)


METHODS = {
    "gd": {"step": 0.1},
    "lbfgs": {},
    "newton": {"switch": 1e-2},
    "adam": {"learning_rate": 0.01},
    "sgd": {"learning_rate": 0.05, "batch": 6},
}


def train(network="residual", stack=STACK, method="newton", **settings):
    options = {"epochs": 30, **settings}
    return nrc.train(
        stack,
        images(),
        task="classify",
        network=network,
        method={"name": method, **METHODS[method]},
        **options,
    )


@pytest.mark.parametrize("method", METHODS)
def test_all_methods_train_in_the_bits_of_a_cell_alone_and_on_threads(method):
    together = train(method=method)
    xr.testing.assert_identical(train(method=method, threads=2), together)
    alone = train(method=method, stack={**STACK, "weight_decay": 0.03})
    xr.testing.assert_identical(alone["block1.weight"], together["block1.weight"].sel(weight_decay=0.03))
    before = train(method="gd", epochs=1)
    assert (together["loss"] < before["loss"]).all()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "tokens"])
def test_newton_reaches_stationary_points_of_the_measures(kind):
    stack = {**STACK, "weight_decay": 0.03, "sigma": 0.0}
    trained = train(KINDS[kind], stack, epochs=4000, tolerance=1e-8)
    assert trained["status"] == 0
    module, points = nrc.module(trained, network=KINDS[kind]), images()
    x = torch.from_numpy(points.x(0.0)).reshape(-1, *trained.attrs["input_shape"])
    measured = nrc.measure(module, x, points.labels, weight_decay=0.03)
    assert measured["relative_residual"] <= 1e-8
    np.testing.assert_allclose(measured["relative_residual"], trained["relative_residual"], rtol=1e-4)


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("method", ["newton", "adam"])
def test_training_continues_from_a_checkpoint_and_from_a_warm_start(tmp_path, method):
    whole = train(method=method, snapshot_every=10)
    reports = 0

    def stop(part, progress):
        nonlocal reports
        reports += 1
        if reports == 40:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(
            method=method, snapshot_every=10, report=stop, checkpoint=Checkpoint(tmp_path / "a.nc", "x", 0.0)
        )
    again = train(method=method, snapshot_every=10, checkpoint=Checkpoint(tmp_path / "a.nc", "x", 1e9))
    xr.testing.assert_identical(again, whole)
    assert again["layer"].values.tolist() == ["first", "block1", "last"]
    nrc.save(whole, tmp_path / "trained.nc")
    loaded = nrc.load(tmp_path / "trained.nc")
    further = train(method="gd", epochs=1, warm_start=loaded)
    torch.testing.assert_close(trained_parameters(further), trained_parameters(whole))


def test_snapshots_are_the_measures_of_the_networks():
    trained = train("convolution", snapshot_every=30).sel(weight_decay=0.03, sigma=0.2)
    of = architecture("convolution", (1, 4, 4), 3, 4, 3)
    points = images()
    found = nrc.measure(
        of.module(trained_parameters(trained)[0]), of.points(torch.from_numpy(points.x(0.2))), points.labels
    )
    last = trained.isel(snapshot=-1)
    assert last["source"].values.tolist() == ["input", "conv2", "last"]
    for name, measured in (("singular_values", "singular_values"), ("wcss", "wcss_class")):
        values = last[f"snapshot_{name}"]
        np.testing.assert_allclose(
            values, found[measured].sel({dim: values[dim] for dim in values.dims}), rtol=1e-9
        )
    np.testing.assert_array_equal(last["snapshot_distinct_neurons"], found["distinct_neurons"])


def test_memory_that_does_not_suffice_for_all_cells_splits_them(monkeypatch):
    whole = train(method="lbfgs")
    from nrc.objectives.module_loss import RegularisedModuleLoss

    at = RegularisedModuleLoss.to

    def small(self, device):
        if len(self.weight_decay) > 2:
            raise MemoryError
        return at(self, device)

    monkeypatch.setattr(RegularisedModuleLoss, "to", small)
    xr.testing.assert_identical(train(method="lbfgs"), whole)


def test_curvature_is_the_smallest_eigenvalue_of_the_hessian():
    stack = {**STACK, "weight_decay": [0.03], "sigma": 0.0, "width": 2}
    function, theta = objective("residual", stack)
    found = curvature(function, theta)
    inputs = sample(Stack(stack), {5: images()}, "classify")
    x, y = torch.from_numpy(inputs.x[0]), torch.from_numpy(inputs.y[0])

    def loss(t):
        output = torch.func.functional_call(function.template, function.architecture.arrays(t), (x,))
        return nn.functional.cross_entropy(output, y) + 0.015 * t.square().sum()

    values = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, theta[0]))
    np.testing.assert_allclose(found["curvature"], values[0], rtol=1e-9)
    by_search, error = smallest_found(function, theta, 0)
    assert abs(by_search - values[0]) <= error + 1e-9


# ---- refusals

BASE = """
data:
  images: {kind: mnist, train_points: 20, test_points: 10, side: 7}
  blobs: {kind: mixture, clusters: 2, points: 10, dimension: 3}
experiments:
  one:
    data: images
    task: classify
    grid: {weight_decay: [0.1], width: [4], depth: [3]}
"""


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            "{network: {kind: resnet}}",
            "experiments.one.network.kind is 'resnet', but must be one of attention, convolution, mlp, module, "
            "residual",
        ),
        (
            "{network: {kind: residual, bias: true}}",
            "experiments.one.network.bias is not an option of residual, which has activation",
        ),
        (
            "{network: {kind: residual}, loss: squared_error, training: {method: {name: varpro}}}",
            "experiments.one.training.method.name is 'varpro', which needs network.kind to be mlp, "
            "but experiments.one.network.kind is 'residual'",
        ),
        (
            "{network: {kind: attention}, training: {penalty: product}}",
            "experiments.one.training.penalty is 'product', which needs network.kind to be mlp, but "
            "experiments.one.network.kind is 'attention'",
        ),
        (
            "{network: {kind: convolution, activation: relu}, training: {method: {name: newton}}}",
            "experiments.one.training.method.name is 'newton', which needs network.activation to be "
            "one of tanh, linear, gelu, silu, but experiments.one.network.activation is 'relu'",
        ),
        (
            "{data: blobs, network: {kind: convolution}, grid: {sigma: [0]}}",
            "experiments.one.network.kind is 'convolution', which needs data that are images, such as mnist",
        ),
        (
            "{network: {kind: attention, heads: 3}}",
            "experiments.one.network.heads is 3, but must divide the width, 4",
        ),
        (
            "{network: {kind: residual}, grid: {depth: [3, 1]}}",
            "experiments.one.grid.depth is 1, but must be ",
        ),
        ("{network: {kind: module}}", "experiments.one.network.file is missing; it must be a text"),
        (
            "{network: {kind: module, file: nets.py}}",
            "experiments.one.network.file is 'nets.py', which cannot be read as Python (No such file or directory)",
        ),
        (
            "{network: {kind: module, file: mine.py, build: deep}}",
            "experiments.one.network.build is 'deep', but mine.py has no such function; it has build, short",
        ),
        (
            "{network: {kind: module, file: mine.py, build: short}}",
            "experiments.one.network.build is 'short', which takes (input_shape, outputs), but must take "
            "(input_shape, outputs, width, depth)",
        ),
    ],
)
def test_networks_that_do_not_fit_are_refused_before_any_job(tmp_path, changes, line):
    (tmp_path / "mine.py").write_text(
        "def build(input_shape, outputs, width, depth): pass\ndef short(input_shape, outputs): pass\n"
    )
    assert refused(tmp_path, BASE, f"experiments: {{one: {changes}}}", below=None).startswith(line)


def frozen(*arguments):
    return chain(*arguments).requires_grad_(False)


def raising(*arguments):
    raise KeyError("size")


@pytest.mark.parametrize(
    ("build", "line"),
    [
        (nn.Linear(4, 3), "network is a module, but must be a function (input_shape, outputs, width, depth)"),
        (raising, "network: build((4,), 3, 8, 2) fails ('size')"),
        (lambda *a: 3, "network: build returns int, but must return a torch.nn.Module"),
        (lambda *a: nn.Tanh(), "network: Tanh has no parameters to train"),
        (frozen, "network: the parameter 1.weight is frozen or not of real numbers"),
        (
            lambda *a: nn.Linear(5, 3),
            "network: the module fails at points of shape (4,) in float64 (addmm: mat1",
        ),
        (
            lambda *a: nn.Linear(4, 2),
            "network: for 8 points of shape (4,) its output is (8, 2), but must be a tensor of shape (8, 3)",
        ),
        (lambda *a: nn.LSTM(4, 3), "network: for 8 points of shape (4,) its output is tuple"),
        (
            lambda *a: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False)),
            "model: the output of a point depends on the other points of its batch",
        ),
    ],
)
def test_modules_that_cannot_be_trained_are_refused(build, line):
    assert refusal(of_function, build, (4,), 3, 8, 2).startswith(line)


def test_methods_and_penalties_of_stacks_are_refused_in_python():
    assert "method is 'varpro', which needs" in refusal(
        nrc.train, STACK, images(), network=gated, method="varpro"
    )
    assert "penalty is 'product', but must" in refusal(train, penalty="product", method="lbfgs")


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ("mlp", "first.weight of shape (4, 16), but network has W1 of shape (4, 16); use the network with"),
        ({"kind": "residual", "activation": "relu"}, None),
        (
            lambda *a: nn.Sequential(nn.Flatten(), nn.Linear(16, 3)),
            "first.weight of shape (4, 16), but network has 1.we",
        ),
    ],
)
def test_networks_of_other_parameters_are_refused(other, line):
    trained = train(epochs=1, method="gd")
    cell = {axis: trained[axis].values.flat[0] for axis in trained["loss"].dims}
    calls = ((train, {"network": other, "warm_start": trained}), (nrc.module, {"network": other, **cell}))
    for call, settings in calls:
        arguments = (trained,) if call is nrc.module else ()
        if line:
            assert refusal(call, *arguments, **settings).startswith(f"the trained networks have {line}")
        else:
            call(*arguments, **settings)


FIGURES = (
    ("plane", {}, "gate"),
    ("spectra", {}, "gate"),
    ("rank_curves", {"along": "weight_decay"}, "gate"),
    ("neurons", {}, "gate"),
    ("neurons", {"along": "weight_decay"}, "gate"),
    ("bounds", {}, "distance"),
)


def test_the_page_about_your_own_network_works_in_the_pipeline(fresh):
    assert done("how-to/network.md", fresh) == 2
    overlay = (fresh.folder / "mine.yaml").read_text()
    assert len(overlay.splitlines()) <= 12
    overlays = [TINY, "mine.yaml"]
    targets = [f"results/figures/gated_{name}.png" for name in ("plane", "tails", "neurons")]
    fresh.snakemake(*targets, overlays=overlays)
    cube = fresh.load("results/gated/measures.nc")
    assert cube["layer"].values.tolist() == ["inner", "gate", "last"]
    assert cube["source"].values.tolist() == ["input", "last"]
    assert (cube["status"] == 0).all()
    trained = fresh.load("results/gated/train/weight_decay~all/sigma~0/width~6/depth~2/seed~1.nc")
    points = load_points(Stack.of(trained), [fresh.folder / "results/data/digits/seed~1.nc"])[1]
    of = architecture(
        {"kind": "module", "file": str(fresh.folder / "my_nets.py"), "build": "gated"}, (784,), 10, 6, 2
    )
    module = of.module(trained_parameters(trained)[0])
    found = nrc.measure(module, torch.from_numpy(points.base), points.labels, weight_decay=0.03)
    of_cell = cube.sel(weight_decay=0.03, seed=1).squeeze()
    for name in ("exact_rank", "distinct_neurons", "bound_projected", "residual"):
        np.testing.assert_allclose(of_cell[name], found[name].sel(layer=cube["layer"]), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(of_cell["relative_residual"], found["relative_residual"], rtol=1e-3)

    for kind, options, named in FIGURES:
        module = kinds.module("figures", kind)
        options = module.Options(of=["gated"], **options)
        with styled():
            figure = module.draw({"gated": cube}, options)
        texts = [axis.get_title() + axis.get_ylabel() for axis in figure.axes]
        assert named in " ".join(texts), kind
        module.summary({"gated": cube}, options)
    assert "gate" in page({"gated": cube}, {"gated": {}})

    fresh.edit("my_nets.py", "A hidden layer", "# another\n    A hidden layer")
    assert fresh.planned(*targets, overlays=overlays) == {}
    fresh.edit("my_nets.py", "torch.tanh", "torch.sin")
    drawn = {f"plot_gated_{name}": 1 for name in ("plane", "tails", "neurons")}
    changed = {"train_stack": 2, "measure": 2, "collect": 1, **drawn}
    assert fresh.planned(*targets, overlays=overlays) == changed
    (fresh.folder / "my_nets.py").unlink()
    line = fresh.snakemake(*targets, overlays=overlays, fails=True)
    assert "experiments.gated.network.file is 'my_nets.py', which cannot be read as Python" in line
