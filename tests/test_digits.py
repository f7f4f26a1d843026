"""The README's script for a network of one's own, as it is printed there, compared with plain numpy."""

import re
import textwrap

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

from support.checkout import PROJECT
from support.references import kmeans_seed
from tools.own_network import variables

README = (PROJECT / "README.md").read_text(encoding="utf-8")
SCRIPT = textwrap.dedent(re.search(r"`digits.py`:\n\n((?:    .*\n)+)", README)[1])
PRINTED = textwrap.dedent(re.search(r"it prints\n\n((?:    .*\n)+)", README)[1])
K, DECAY = 10, 0.01


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What the script leaves: its variables, with all that it prints as `said`, and its folder."""
    folder = tmp_path_factory.mktemp("script")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        said = []
        torch.manual_seed(0)
        variables = {"print": lambda of: said.append(str(of))}
        exec(compile(SCRIPT, "digits.py", "exec"), variables)
    return {**variables, "said": "\n".join(said), "folder": folder}


def tails(w, gradient):
    """What of a layer is outside of the r leading directions of a gradient, for r = 1, ..., the smaller side."""
    u, s, vt = np.linalg.svd(gradient)
    bounds = []
    for r in range(1, min(w.shape) + 1):
        r = min(r, (s > 1e-8 * s[0]).sum())
        columns = w - u[:, :r] @ (u[:, :r].T @ w)
        rows = w - (w @ vt[:r].T) @ vt[:r]
        bounds.append(min(np.linalg.norm(columns), np.linalg.norm(rows)))
    return np.array(bounds)


def gradients(model, z, y, shares):
    """Of the cross-entropy, weighted, in every weight matrix of what is left of a model."""
    layers = [module for module in model if isinstance(module, torch.nn.Linear)]
    log_p = torch.log_softmax(model(torch.as_tensor(z)), 1)
    loss = -(torch.as_tensor(shares)[:, None] * torch.as_tensor(y) * log_p).sum()
    return [g.numpy() for g in torch.autograd.grad(loss, [layer.weight for layer in layers])]


def partitions(z, y, labels):
    """The classes, and k-means on features and targets where its WCSS is less."""
    points = np.hstack([z, y])
    found = KMeans(K, n_init=10, random_state=kmeans_seed(0)).fit(points)
    wcss = sum(((points[labels == c] - points[labels == c].mean(0)) ** 2).sum() for c in range(K))
    return [labels, *([found.labels_] if found.inertia_ < wcss else [])]


@pytest.fixture(scope="module")
def certified(ran):
    """For every layer the least tails, over the spaces below it and partitions, over its norm."""
    model = ran["model"]
    x, labels = load_digits(return_X_y=True)
    y, best = np.eye(K)[labels], {}
    for start in (0, 2, 4):
        with torch.no_grad():
            z = model[:start](torch.as_tensor(x / 16)).numpy()
        for of in partitions(z, y, labels):
            shares = np.bincount(of) / len(of)
            means = [np.stack([points[of == c].mean(0) for c in range(K)]) for points in (z, y)]
            for place, g in zip(range(start, 6, 2), gradients(model[start:], *means, shares), strict=False):
                w = model[place].weight.detach().numpy()
                best.setdefault(str(place), []).append(tails(w, g) / np.linalg.norm(w))
    return {layer: np.min(of, axis=0) for layer, of in best.items()}


def test_certified_ranks_are_those_of_plain_numpy(ran, certified):
    measured = ran["measured"]
    assert measured["layer"].values.tolist() == list(certified) == ["0", "2", "4"]
    for layer, tail in certified.items():
        here = measured.sel(layer=layer)
        assert here["certified_rank"] == np.argmax(tail <= 0.1) + 1
        np.testing.assert_allclose(here["tail_bound"][:K], tail[:K], rtol=1e-6, atol=1e-9)
        assert here["rank_needed"] <= here["certified_rank"] < 10


def test_ranks_and_residuals_are_those_of_plain_numpy(ran):
    model, measured = ran["model"], ran["measured"]
    x, labels = load_digits(return_X_y=True)
    plain = gradients(model, x / 16, np.eye(K)[labels], np.full(len(x), 1 / len(x)))
    layers = [module.weight.detach().numpy() for module in model if isinstance(module, torch.nn.Linear)]
    for here, w, g in zip(measured["layer"], layers, plain, strict=True):
        s = np.linalg.svd(w, compute_uv=False)
        tail = np.sqrt(np.append(np.cumsum(s[::-1] ** 2)[::-1][1:], 0)) / np.linalg.norm(s)
        assert measured["rank_needed"].sel(layer=here) == np.argmax(tail <= 0.1) + 1
        assert measured["exact_rank"].sel(layer=here) == (s > 5e-8 * s[0]).sum()
        residual = np.linalg.norm(g + DECAY * w)
        np.testing.assert_allclose(measured["residual"].sel(layer=here), residual, rtol=1e-6)


def test_what_the_readme_says_of_it_holds(ran):
    """Other machines round otherwise on the way, so by a little."""
    measured = ran["measured"]
    rows = [line.split() for line in PRINTED.splitlines()[2:]]
    printed = [line.split() for line in ran["said"].splitlines()[2:]]
    for (name, exact, needed, certified, residual), again in zip(rows, printed, strict=True):
        assert again[0] == name
        np.testing.assert_allclose(
            [float(of) for of in again[2:4]], [float(needed), float(certified)], atol=1
        )
        np.testing.assert_allclose(float(again[1]), float(exact), atol=4)
        np.testing.assert_allclose(float(again[4]), float(residual), rtol=0.5)
    assert 0.01 < measured["relative_residual"] < 0.03
    norms = np.sqrt((measured["singular_values"] ** 2).sum("index"))
    assert (measured["bound_permuted"].min("source") <= 0.1 * norms).all()
    assert (ran["folder"] / "digits.png").stat().st_size > 10_000


def test_a_network_that_has_hardly_trained_is_not_certified():
    short = SCRIPT.replace("range(1000)", "range(20)").replace("nrc.plot", "# nrc.plot")
    assert short != SCRIPT
    variables = {"print": lambda of: None}
    torch.manual_seed(0)
    exec(compile(short, "digits.py", "exec"), variables)
    assert variables["measured"]["certified_rank"].isnull().all()
    assert 5 < variables["measured"]["relative_residual"] < 8


def test_the_table_of_variables_is_what_they_say_of_themselves():
    text = (PROJECT / "docs/own_network.md").read_text(encoding="utf-8")
    assert f"<!-- variables -->\n{variables()}<!-- /variables -->" in text, (
        "run `python -m tools.own_network`"
    )


def test_errors_are_those_that_are_raised():
    """Each message of the page's table, up to its dots, is in the code."""
    text = (PROJECT / "docs/own_network.md").read_text(encoding="utf-8")
    code = "".join(path.read_text(encoding="utf-8") for path in sorted((PROJECT / "nrc").rglob("*.py")))
    code = re.sub(r'"\s+f?"', "", code)
    code = re.sub(r"\{[^{}]*\}", "...", code)
    messages = re.findall(r"^\| `((?:model|labels|y|x|sources|svd)\b[^`]*)` \|", text, re.MULTILINE)
    assert len(messages) > 10
    for message in messages:
        parts = [part.strip(" ,:") for part in message.split("...")]
        assert all(part in code for part in parts), message
