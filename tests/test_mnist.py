"""MNIST: the loader against the raw bytes, every kind of damage, training, snapshots, claims."""

import functools
import gc
import gzip
import hashlib
import http.server
import shutil
import threading
from itertools import pairwise

import numpy as np
import pytest
import torch
import xarray as xr
from conftest import PROJECT
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import log_loss

from nrc.claims import CLAIMS, Verdict, judge
from nrc.classifiers import Snapshots, accuracy, classifier, image_points
from nrc.data.mnist import SPLITS, balanced_subsets, download_split, read_split
from nrc.network import RegularisedLoss, features, loss_gradient
from nrc.optimize.epochs import Course, train_epochs

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

BUNDLED = PROJECT / "resources/mnist"
IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.fixture(scope="module")
def split():
    return read_split(BUNDLED, "test")


@pytest.fixture
def folder(tmp_path):
    for name in (IMAGES, LABELS):
        shutil.copy(BUNDLED / f"{name}.gz", tmp_path)
    return tmp_path


@pytest.fixture
def server(folder):
    """A mirror on loopback; its folder is the fixture `folder`."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
    # urllib leaves the socket of a refused file to the garbage collector, which would warn elsewhere
    gc.collect()


def test_the_loader_agrees_with_the_raw_bytes(split):
    images, labels = split
    raw = {name: gzip.decompress((BUNDLED / f"{name}.gz").read_bytes()) for name in (IMAGES, LABELS)}
    assert raw[IMAGES][:16] == bytes([0, 0, 8, 3, 0, 0, 39, 16, 0, 0, 0, 28, 0, 0, 0, 28])
    np.testing.assert_array_equal(images.ravel(), np.frombuffer(raw[IMAGES], np.uint8, offset=16))
    np.testing.assert_array_equal(labels, np.frombuffer(raw[LABELS], np.uint8, offset=8))
    for name, content in raw.items():
        assert hashlib.sha256(content).hexdigest() == SPLITS["test"].digests[name]


def test_uncompressed_files_read_the_same(folder, split):
    for name in (IMAGES, LABELS):
        (folder / name).write_bytes(gzip.decompress((folder / f"{name}.gz").read_bytes()))
        (folder / f"{name}.gz").unlink()
    for ours, theirs in zip(read_split(folder, "test"), split, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def truncate(path):
    path.write_bytes(path.read_bytes()[:5000])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[9000] ^= 1
    path.write_bytes(gzip.compress(content))


def swap(path):
    path.write_bytes((path.parent / f"{LABELS}.gz").read_bytes())


def no_gzip(path):
    path.write_bytes(b"<html>not found</html>")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, f"{IMAGES}.gz is not a whole gzip file .*; fetch it again"),
        (empty, f"{IMAGES}.* fetch it again"),
        (no_gzip, f"{IMAGES}.gz is not a whole gzip file .*; fetch it again"),
        (flip, f"{IMAGES} is not MNIST's, or damaged: SHA-256 .* expected 0fa7898d.*; fetch it again"),
        (swap, f"{IMAGES} is not MNIST's, or damaged"),
        (lambda path: path.unlink(), f"has neither {IMAGES} nor {IMAGES}.gz; put MNIST's IDX files there"),
    ],
)
def test_damage_is_told_by_file(folder, damage, message):
    damage(folder / f"{IMAGES}.gz")
    with pytest.raises(ValueError, match=message):
        read_split(folder, "test")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path}/nowhere has neither train-images"):
        read_split(tmp_path / "nowhere", "train")


def test_a_download_gives_the_same_images(server, split, capsys):
    for ours, theirs in zip(download_split("test", [server]), split, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("damage", [truncate, empty, flip, swap, no_gzip, lambda path: path.unlink()])
def test_a_damaged_download_never_passes(server, folder, damage, capsys):
    damage(folder / f"{IMAGES}.gz")
    with pytest.raises(ValueError, match=r"could not be downloaded from|is not MNIST's, or damaged"):
        download_split("test", [server])


def test_no_network_is_told_with_what_to_try(capsys):
    with pytest.raises(
        ValueError, match=r"http://127\.0\.0\.1:9/ .*; check the network, or take source bundled"
    ):
        download_split("test", ["http://127.0.0.1:9/"])


def test_the_second_mirror_serves_where_the_first_fails(server, split, capsys):
    images, _ = download_split("test", ["http://127.0.0.1:9/", server])
    np.testing.assert_array_equal(images, split[0])


def test_subsets_are_balanced_disjoint_and_from_the_seed(split):
    labels = split[1]
    first, second = balanced_subsets(labels, [205, 1000], seed=3)
    assert np.bincount(labels[first]).tolist() == [21] * 5 + [20] * 5
    assert np.bincount(labels[second]).tolist() == [100] * 10
    assert not set(first) & set(second)
    np.testing.assert_array_equal(first, balanced_subsets(labels, [205], seed=3)[0])
    assert set(first) != set(balanced_subsets(labels, [205], seed=4)[0])
    some, rest = balanced_subsets(labels, [300, None], seed=3)
    assert sorted([*some, *rest]) == list(range(10_000))
    with pytest.raises(ValueError, match="digit 5 has 892 left; ask for fewer points"):
        balanced_subsets(labels, [9000], seed=0)


def small(split, points=60, activation="tanh", loss="cross_entropy", dtype=torch.float64):
    x, y, labels = image_points(*split, balanced_subsets(split[1], [points], 0)[0])
    network = classifier(7, 3, 784, activation)
    tensors = (torch.from_numpy(a)[None].to(dtype) for a in (x, y))
    weight_decay = torch.tensor([1e-3, 1e-1], dtype=dtype)
    start = torch.stack([network.initial(0)] * 2).to(dtype)
    return RegularisedLoss(network, *tensors, weight_decay, loss=loss), start, labels


def test_image_points_are_scaled_and_one_hot(split):
    x, y, labels = image_points(*split, np.array([0, 5]))
    np.testing.assert_array_equal(x * 255, split[0][[0, 5]].reshape(2, 784))
    assert y.argmax(1).tolist() == labels.tolist() == split[1][[0, 5]].tolist()
    assert (y.sum(1) == 1).all()


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_gradients_agree_with_autograd(split, activation, loss):
    objective, theta, labels = small(split, activation=activation, loss=loss)
    value, gradient = objective(theta)
    leaf = theta.clone().requires_grad_()
    output = features(objective.architecture.split(leaf), objective.x, activation)[-1]
    if loss == "cross_entropy":
        target = torch.from_numpy(labels).expand(2, -1)
        plain = torch.nn.functional.cross_entropy(output.flatten(0, 1), target.flatten(), reduction="none")
        plain = plain.reshape(2, -1).mean(1)
    else:
        plain = (output - objective.y).square().sum(2).mean(1) / 2
    plain = plain + objective.weight_decay / 2 * leaf.square().sum(1)
    (expected,) = torch.autograd.grad(plain.sum(), leaf)
    torch.testing.assert_close(value, plain.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


def test_cross_entropy_agrees_with_scikit_learn(split):
    objective, theta, labels = small(split)
    output = features(objective.architecture.split(theta), objective.x, "tanh")[-1][0]
    value, _ = loss_gradient(
        objective.architecture.split(theta), objective.x, objective.y, "tanh", loss="cross_entropy"
    )
    expected = log_loss(labels, output.softmax(1).numpy(), labels=range(10))
    assert float(value[0]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("method", ["adam", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_stack_trains_as_torch_trains_each_network(split, method, schedule):
    """Against a plain PyTorch loop with weight decay as the L2 term of the loss."""
    objective, theta, labels = small(split)
    course = Course(method, epochs=3, batch=20, learning_rate=0.01, schedule=schedule, seed=5)
    end, diverged = train_epochs(objective, theta, course, lambda epoch, at, lost: None)
    assert not diverged.any()
    for cell, weight_decay in enumerate((1e-3, 1e-1)):
        leaves = [w[cell].clone().requires_grad_() for w in objective.architecture.split(theta)]
        if method == "adam":
            update = torch.optim.Adam(leaves, lr=0.01, weight_decay=weight_decay)
        else:
            update = torch.optim.SGD(leaves, lr=0.01, momentum=0.9, weight_decay=weight_decay)
        rng = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(3,)))
        step = 0
        for _ in range(3):
            for some in torch.from_numpy(rng.permutation(60)).split(20):
                share = (1 + np.cos(np.pi * step / 9)) / 2 if schedule == "cosine" else 1
                update.param_groups[0]["lr"] = 0.01 * share
                output = features([w[None] for w in leaves], objective.x[:, some], "tanh")[-1][0]
                update.zero_grad()
                torch.nn.functional.cross_entropy(output, torch.from_numpy(labels)[some]).backward()
                update.step()
                step += 1
        plain = torch.cat([w.detach().flatten() for w in leaves])
        torch.testing.assert_close(end[cell], plain, rtol=1e-6, atol=1e-8)


def test_lbfgs_trains_on_the_full_batch(split):
    objective, theta, _ = small(split)
    values = []
    train_epochs(
        objective, theta, Course("lbfgs", epochs=20), lambda epoch, at, lost: values.append(objective(at)[0])
    )
    assert len(values) == 21
    assert all((after <= before).all() for before, after in pairwise(values))
    assert (values[-1] < 0.8 * values[0]).all()


def test_snapshots_are_fresh_measurements(split):
    objective, theta, labels = small(split)
    seen = {}
    snapshots = Snapshots(objective.architecture, objective.x, objective.y, labels, every=2, last=5)

    def look(epoch, at, lost):
        seen[epoch] = at.clone()
        snapshots(epoch, at, lost)

    train_epochs(objective, theta, Course("adam", epochs=5, batch=20), look)
    assert snapshots.epochs == [0, 2, 4, 5]
    for number, epoch in enumerate(snapshots.epochs):
        weights = objective.architecture.split(seen[epoch])
        for l, w in enumerate(weights):
            s = snapshots.singular_values[number][:, l]
            np.testing.assert_allclose(
                s[:, : min(w.shape[1:])], np.linalg.svd(w.numpy(), compute_uv=False), rtol=1e-9, atol=1e-12
            )
            assert np.isnan(s[:, min(w.shape[1:]) :]).all()
        for k, z in enumerate(features(weights, objective.x, "tanh")[:-1]):
            for cell in range(2):
                points = np.concatenate([z[cell % len(z)].numpy(), objective.y[0].numpy()], axis=1)
                plain = sum(
                    ((points[labels == digit] - points[labels == digit].mean(0)) ** 2).sum()
                    for digit in range(10)
                ) / len(points)
                assert snapshots.wcss[number][cell, k] == pytest.approx(plain, rel=1e-9)


def test_class_wcss_is_scikit_learns_within_class_scatter(split):
    objective, theta, labels = small(split)
    snapshots = Snapshots(objective.architecture, objective.x, objective.y, labels, every=1, last=0)
    snapshots(0, theta, torch.zeros(2, dtype=torch.bool))
    z = features(objective.architecture.split(theta), objective.x, "tanh")[1][0].numpy()
    fitted = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.5, store_covariance=True)
    scatter = sum(
        np.trace(np.cov(z[labels == digit].T, bias=True)) * (labels == digit).mean() for digit in range(10)
    )
    fitted.fit(z, labels)
    assert snapshots.wcss[0][0, 1] == pytest.approx(scatter, rel=1e-9)
    assert np.trace(fitted.covariance_) == pytest.approx(scatter, rel=1e-6)


def test_accuracy_counts(split):
    objective, theta, labels = small(split)
    weights = objective.architecture.split(theta)
    share = accuracy(weights, objective.x, torch.from_numpy(labels), "tanh")
    output = features(weights, objective.x, "tanh")[-1]
    assert share.tolist() == [float((output[c].argmax(1).numpy() == labels).mean()) for c in range(2)]


def verdict_of(values, least=None, most=None):
    cube = xr.Dataset({"value": ("seed", values)}, {"seed": range(len(values))})
    name = "transition"
    claim = CLAIMS[name].__class__("says", "measure", ("any", "measures"), lambda cube: float(cube["value"]))
    rules = {name: {"least": least, "most": most}}
    with pytest.MonkeyPatch.context() as patch:
        for other in list(CLAIMS):
            patch.delitem(CLAIMS, other)
        patch.setitem(CLAIMS, name, claim)
        judged = judge({("any", "measures"): cube}, rules, 0.95)
    return Verdict(int(judged["verdict"][0])), judged


@pytest.mark.parametrize(
    ("values", "least", "most", "verdict"),
    [
        ([1.0, 1.1, 0.9], 0.5, None, Verdict.CONFIRMED),
        ([1.0, 1.1, 0.9], None, 0.5, Verdict.DENIED),
        ([1.0, 1.1, 0.9], 1.0, None, Verdict.UNDECIDED),
        ([1.0, 1.1, 0.9], 0.5, 1.5, Verdict.CONFIRMED),
        ([1.0, 1.1, 0.9], 2.0, 3.0, Verdict.DENIED),
        ([1.0], 0.5, None, Verdict.UNDECIDED),
        ([1.0, np.nan], 0.5, None, Verdict.UNDECIDED),
        ([-5.0, 5.0], 0.0, None, Verdict.UNDECIDED),
    ],
)
def test_verdicts(values, least, most, verdict):
    assert verdict_of(values, least, most)[0] == verdict


def test_the_interval_is_students():
    _, judged = verdict_of([1.0, 2.0, 4.0], 0)
    # t quantile 4.302653 of two degrees of freedom
    half = 4.302653 * np.std([1, 2, 4], ddof=1) / 3**0.5
    assert float(judged["low"][0]) == pytest.approx(7 / 3 - half, rel=1e-6)
    assert float(judged["high"][0]) == pytest.approx(7 / 3 + half, rel=1e-6)
