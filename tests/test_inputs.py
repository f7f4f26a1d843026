"""Inputs of every structure: arrays, frames, several tensors, datasets and loaders."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
import xarray as xr
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, Subset, SubsetRandomSampler, TensorDataset

import nrc
from nrc.modules.inputs import inputs_of
from nrc.modules.user_arrays import array_of, values_of
from support.refusals import refusal
from support.zoo import LABELS, POINTS, Model, mlp

X = np.random.default_rng(0).normal(size=(POINTS, 5))
COUNTS = np.random.default_rng(1).integers(0, 3, (POINTS, 5))
TOKENS = np.random.default_rng(2).integers(0, 9, (POINTS, 4))
MASK = np.arange(4) < 1 + np.arange(POINTS)[:, None] % 4


def network():
    torch.manual_seed(0)
    return mlp(5, 4, 3).eval()


def of_texts():
    """The mean of the features of the tokens under a mask."""

    def run(m, ids, mask):
        w = mask[..., None].to(m.lift.weight.dtype)
        return m.head((m.lift(m.embed(ids)).tanh() * w).sum(1) / w.sum(1))

    torch.manual_seed(0)
    return Several(run, embed=nn.Embedding(9, 4), lift=nn.Linear(4, 4), head=nn.Linear(4, 3)).eval()


class Several(Model):
    def forward(self, ids, mask):
        return self.run(self, ids, mask)


def refused(x, model=None, y=LABELS, **settings):
    return refusal(nrc.measure, model or network(), x, y, restarts=1, **settings)


# Arrays.


def in_a_file(path):
    memory = np.memmap(path / "x", dtype=">f8", mode="w+", shape=X.shape)
    memory[:] = X
    return memory


@pytest.mark.parametrize(
    "form",
    [
        in_a_file,
        lambda path: X[::-1][::-1],
        lambda path: X.astype(np.longdouble),
        lambda path: np.ma.masked_array(X),
        lambda path: list(torch.from_numpy(X)),
        lambda path: pd.DataFrame(X).astype("Float64"),
        lambda path: xr.DataArray(X),
        lambda path: scipy.sparse.coo_matrix(X),
        lambda path: torch.from_numpy(X).to_sparse(),
        lambda path: TensorDataset(torch.from_numpy(X)),
    ],
)
def test_the_same_numbers_give_the_same_measures(form, tmp_path):
    found = nrc.measure(network(), form(tmp_path), LABELS, restarts=1, batch=10)
    assert found.equals(nrc.measure(network(), X, LABELS, restarts=1, batch=10))


def test_columns_of_a_frame_are_numbers_of_any_type():
    frame = pd.DataFrame(X[:, :3], columns=list("abc"))
    frame["flag"] = pd.array(X[:, 3] > 0, dtype="boolean")
    frame["count"] = pd.array(COUNTS[:, 4], dtype="Int64")
    plain = np.column_stack([X[:, :3], X[:, 3] > 0, COUNTS[:, 4]])
    labels = pd.Series(LABELS, dtype="Int64")
    found = nrc.measure(network(), frame, labels, restarts=1)
    assert found.equals(nrc.measure(network(), plain, LABELS, restarts=1))
    assert np.array_equal(values_of(array_of("x", pd.DataFrame(TOKENS))), TOKENS)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ma.masked_greater(X, 2.0), "x has masked values; fill them in"),
        (pd.DataFrame(X).mask(X > 2), "x: column 4 has missing values; fill them in"),
        (pd.DataFrame(X).assign(kind="cat"), "x: column 'kind' has the type str, but every column must be real numbers"),
        (X.astype(object), "x is an array of object, but must be an array of real numbers"),
        (X * 1j, "x is an array of complex128, but must be an array of real numbers"),
        ([[1.0, 2.0], [3.0]], "x: its rows have different lengths"),
        ([torch.zeros(2), torch.zeros(3)], "x: its rows have different shapes, (2,) and (3,)"),
        ((X, X[:-1]), "x: its parts have 24 and 23 rows, but must have one row per point each"),
        ({}, "x is empty"),
        (torch.ones(POINTS, 5, device="meta"), "x is on the meta device, which holds no numbers"),
        (np.where(np.arange(POINTS)[:, None] == 17, np.inf, X), "x has values that are not finite, the first at point 17"),
    ],
)  # fmt: skip
def test_arrays_that_are_refused(x, message):
    assert refused(x).startswith(message)


# Several inputs.


def test_dictionaries_are_arguments_by_name_and_tuples_by_place():
    model, settings = of_texts(), {"weight_decay": 0.1, "restarts": 1}
    ids, mask = torch.from_numpy(TOKENS), torch.from_numpy(MASK)
    by_name = nrc.measure(model, {"mask": mask, "ids": ids}, LABELS, **settings)
    assert by_name["source"].values.tolist() == ["head"], "the mask also enters after `lift`"
    double = of_texts().double()
    value = nn.functional.cross_entropy(double(ids, mask), torch.from_numpy(LABELS))
    assert by_name["loss"].item() == pytest.approx(value.item(), rel=1e-12)
    assert by_name.equals(nrc.measure(model, (ids, mask), LABELS, **settings))
    items = [{"ids": ids[i], "mask": mask[i], "label": int(LABELS[i])} for i in range(POINTS)]
    assert by_name.equals(nrc.measure(model, items, **settings))
    recorder = nrc.Recorder(model, {"ids": ids, "mask": mask}, LABELS)
    assert recorder.dataset()["snapshot_wcss"].sizes["source"] == 1
    line = refused(ids, model)
    assert "missing 1 required positional argument: 'mask'; pass several inputs in a dictionary" in line


def test_real_inputs_side_by_side_are_a_source():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.head = nn.Linear(2, 4), nn.Linear(3, 4), nn.Linear(4, 3)

        def forward(self, parts):
            return self.head((self.first(parts["a"]) + self.second(parts["b"]).tanh()).tanh())

    model = Two().eval()
    found = nrc.measure(model, {"a": X[:, :2], "b": X[:, 2:]}, LABELS, weight_decay=0.1, restarts=1)
    assert found["source"].values.tolist() == ["input", "head"]
    one = Model(lambda m, x: m.two({"a": x[:, :2], "b": x[:, 2:]}), two=model).eval()
    whole = nrc.measure(one, X, LABELS, weight_decay=0.1, restarts=1)
    assert whole["source"].values.tolist() == ["input", "two.head"]
    for name in ("gap", "wcss_class", "bound_projected"):
        np.testing.assert_allclose(found[name].values, whole[name].values, rtol=1e-10)


# Datasets.


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_loader_gives_points_and_targets_in_the_order_of_its_dataset(shuffle):
    dataset = TensorDataset(torch.from_numpy(X), torch.from_numpy(LABELS))
    state = torch.get_rng_state()
    plain = nrc.measure(network(), X, LABELS, restarts=1)
    for data in (DataLoader(dataset, 16, shuffle=shuffle), dataset):
        assert nrc.measure(network(), data, restarts=1).equals(plain)
        assert nrc.measure(network(), data, LABELS, restarts=1).equals(plain)
    network()  # which sets the seed, as before
    torch.set_rng_state(state)
    subset = nrc.measure(network(), Subset(dataset, range(0, POINTS, 2)), restarts=1)
    assert subset.equals(nrc.measure(network(), X[::2], LABELS[::2], restarts=1))


class Stream(IterableDataset):
    def __iter__(self):
        return iter(torch.from_numpy(X))


class Items:
    """What datasets of other packages have."""

    def __init__(self, item):
        self.item = item

    def __len__(self):
        return POINTS

    def __getitem__(self, number):
        return self.item(number)


class Noisy(TensorDataset):
    def __getitem__(self, number):
        return super().__getitem__(number)[0] + torch.rand(5).double()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (DataLoader(Stream(), 4), "x: a dataset without numbered items cannot be read several times"),
        (DataLoader(TensorDataset(torch.from_numpy(X)), 4, sampler=SubsetRandomSampler([1, 2])), "x: its sampler SubsetRandomSampler chooses points"),
        (Noisy(torch.from_numpy(X)), "x: point 0 is another one at each reading; leave random transformations out"),
        (TensorDataset(torch.zeros(0, 5)), "x: the dataset is empty"),
        (Items(lambda i: X[i, : 5 - i // 9]), "x: the items of its dataset cannot be stacked (stack expects each tensor"),
        (Items(lambda i: (X[i], None)), "x: the items of its dataset cannot be stacked"),
        (Items(lambda i: {"x": X[i], "text": "words"}), "x: its items must be tensors with one row per point"),
        (Items(lambda i: (X[i], i, i)), "x: the model fails at points of shape (5,) and torch.float64 and shape ()"),
    ],
)  # fmt: skip
def test_datasets_that_are_refused(x, message):
    assert refused(x).startswith(message)


def test_datasets_of_other_packages_have_numbered_items():
    found = nrc.measure(network(), Items(lambda i: (X[i], LABELS[i])), restarts=1)
    assert found.equals(nrc.measure(network(), X, LABELS, restarts=1))
    words = Items(lambda i: (X[i], "abc"[LABELS[i]]))
    assert refused(words, y=None).startswith("y: the targets of the dataset are a tuple in a batch")


def test_a_point_may_have_a_number_of_its_own():
    class Scaled(nn.Linear):
        def forward(self, x, scale):
            return super().forward(x * scale[:, None])

    model = Scaled(5, 3).eval()
    data = Items(lambda i: (X[i], X[i, 0], LABELS[i]))
    assert nrc.measure(model, data, restarts=1).equals(nrc.measure(model, (X, X[:, 0]), LABELS, restarts=1))


def test_random_points_are_found_at_the_second_reading():
    class Late(TensorDataset):
        def __getitem__(self, number):
            return super().__getitem__(number)[0] + (torch.rand(5).double() if number == 12 else 0)

    data = inputs_of(Late(torch.from_numpy(X)))
    list(data.batches([slice(0, 20), slice(20, POINTS)]))
    with pytest.raises(ValueError, match="x: point 12 is another one at each reading"):
        data.read(slice(10, 14))
