"""What a module has by autograd on all points at once, and how it is compared."""

import copy
from contextlib import contextmanager

import numpy as np
import torch
from torch.nn import functional

from nrc.theory.centroids import centroids
from support.zoo import CLASSES

DECAY = 0.02


def parameter_of(layer, names):
    """The name of the parameter of a layer of the zoo, and its matrix in the parameter."""
    stem, _, part = layer.rpartition(".")
    packed = {"q_proj": slice(0, 6), "k_proj": slice(6, 12), "v_proj": slice(12, 18)}
    if part in packed and f"{stem}.in_proj_weight" in names:
        return f"{stem}.in_proj_weight", lambda p: p[packed[part]]
    if part.isdigit() and stem in names:
        return stem, lambda p: p[int(part)]
    if stem in names:  # gates of 4 units
        return stem, lambda p: p[4 * "ifgo".index(part) :][:4]
    name = next(name for name in (f"{layer}.weight", f"{layer}_weight", layer, "weight") if name in names)
    if layer.startswith("up"):  # a transposed convolution with two groups
        return name, lambda p: torch.cat([group.transpose(0, 1).flatten(1) for group in p.chunk(2)])
    return name, (lambda p: p.T) if layer == "embed" else (lambda p: p.flatten(1))


class Reference:
    """The module in float64, with gradients on all points at once by autograd.

    Attributes
    ----------
    model : Module
    x : Tensor
    """

    def __init__(self, model, x):
        self.model = copy.deepcopy(model).double()
        self.x = torch.as_tensor(x)
        self.parameters = dict(self.model.named_parameters(remove_duplicate=False))

    def parameter(self, layer):
        name, view = parameter_of(layer, self.parameters)
        return self.parameters[name], view

    def matrix(self, layer):
        parameter, view = self.parameter(layer)
        return view(parameter.detach()).numpy()

    def enters(self, source, x=None):
        """What enters a module first."""
        found = []
        if source == "input":
            return self.x if x is None else x

        def keep(module, args, kwargs):
            found.append(
                next(value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)).clone()
            )

        handle = self.model.get_submodule(source).register_forward_pre_hook(keep, with_kwargs=True)
        with torch.no_grad(), slow_path():
            self.model(self.x if x is None else x)
        handle.remove()
        return found[0]

    def run(self, x, source=None, z=None):
        """The outputs, with other features at the first call of a module."""
        if source in (None, "input"):
            with slow_path():
                return self.model(x if z is None else z)
        first = []

        def replace(module, args, kwargs):
            if first:
                return None
            first.append(True)
            old = next(value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor))
            args = tuple(z if value is old else value for value in args)
            return args, {name: z if value is old else value for name, value in kwargs.items()}

        handle = self.model.get_submodule(source).register_forward_pre_hook(replace, with_kwargs=True)
        try:
            with slow_path():
                return self.model(x)
        finally:
            handle.remove()

    def gradient(self, layers, value):
        """Of a number in the matrix of each layer, 0 where it is not used."""
        parameters = [self.parameter(layer) for layer in layers]
        found = torch.autograd.grad(value, [of for of, _ in parameters], allow_unused=True)
        return {
            layer: view(torch.zeros_like(of) if g is None else g).numpy()
            for layer, (of, view), g in zip(layers, parameters, found, strict=True)
        }


@contextmanager
def slow_path():
    """Modules inside of a transformer are called."""
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def cross_entropy(output, y):
    return functional.cross_entropy(output, y, reduction="none")


def agree(found, plain, rtol=1e-9, atol=1e-12, but=()):
    """All variables of two datasets are equal by position."""
    assert set(found.data_vars) == set(plain.data_vars)
    for name, values in found.data_vars.items():
        assert values.dims == plain[name].dims, name
        if name not in but:
            np.testing.assert_allclose(values.values, plain[name].values, rtol, atol, err_msg=name)


def means(points, labels):
    return np.array([points[labels == label].mean(0) for label in range(CLASSES)])


def at_centroids(reference, layers, source, y, labels, loss):
    """The gradient at the centroids in every layer."""
    z = reference.enters(source).double()
    centroids = means(z.flatten(1).numpy(), labels).reshape(-1, *z.shape[1:])
    outputs = reference.run(reference.x[:CLASSES], source, torch.from_numpy(centroids))
    shares = torch.from_numpy(np.bincount(labels) / len(labels))
    return reference.gradient(layers, (shares * loss(outputs, torch.from_numpy(means(y, labels)))).sum())


def assert_bounds_hold(found):
    distance, slack = found["distance"], 1e-9 * found["singular_values"].max("index")
    for bound in ("bound_measured", "bound_projected", "bound_permuted"):
        assert not (distance > found[bound] + slack).any(), bound
    assert (
        (found["bound_projected"] <= found["bound_measured"] + slack)
        .where(found["bound_measured"].notnull(), True)
        .all()
    )
    assert not (found["relative_tail"] > found["tail_bound"] + 1e-9).any()
    assert (found["tcv_lower"] <= found["tcv_upper"] * (1 + 1e-9)).all()
    assert (found["tcv_upper"] <= found["wcss_class"] * (1 + 1e-9)).all()


def centroid_gradient(network, z, y, labels, clusters):
    """Gradient of the centroid-based loss in W_{k+1}, ..., W_L, from the features z^k of the layers after z^k."""
    (z_means, shares), (y_means, _) = centroids(z, labels, clusters), centroids(y, labels, clusters)
    return network.gradient(z_means, y_means, shares)[1]


def kmeans_seed(seed):
    """The seed of k-means, from the key of its stream."""
    return int(np.random.SeedSequence(seed, spawn_key=(9,)).generate_state(1)[0])


def permuted_labels(labels, seed):
    """The labels of the control, from the key of its stream."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(8,))).permutation(labels)


def permutations(labels, seed):
    """The labels of the control with several permutations, from the key of its stream."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(12,)))
    return [rng.permutation(labels) for _ in range(5)]


def sample_in_memory(points, count, seed):
    """The points that k-means is fitted to, from the key of their stream."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(7,)))
    return np.sort(rng.choice(points, count, replace=False))
