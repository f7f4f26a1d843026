"""Small modules of every kind, with the layers and the sources that they have by how they are built."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import nn

POINTS, CLASSES = 24, 3
LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [11, 8, 5]))


@dataclass(frozen=True)
class Kind:
    """A module, its inputs, and its layers and sources in order; `mixed` are no source, though features enter."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    layers: list[str]
    sources: list[str]
    mixed: tuple[str, ...] = ()
    tokens: bool = False

    def __call__(self) -> tuple[nn.Module, np.ndarray]:
        """The module in eval mode, in float32, and its inputs around a mean for each class."""
        torch.manual_seed(0)
        model, rng = self.build().eval(), np.random.default_rng(1)
        if self.tokens:
            return model, rng.integers(0, 9, (POINTS, *self.shape))
        means = rng.normal(size=(CLASSES, *self.shape))
        return model, means[LABELS] + 0.3 * rng.normal(size=(POINTS, *self.shape))


class Model(nn.Module):
    """A forward pass that is given as a function of the modules and the inputs."""

    def __init__(self, run, **modules):
        super().__init__()
        self.run = run
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x, **how):
        return self.run(self, x, **how)


def attention():
    def run(m, x):
        return m.head(m.attend(x, m.memory(x), m.memory(x), need_weights=False)[0].mean(1))

    return Model(
        run,
        memory=nn.Linear(6, 5),
        attend=nn.MultiheadAttention(6, 2, batch_first=True, kdim=5, vdim=5),
        head=nn.Linear(6, 3),
    )


def self_attention():
    def run(m, x):
        h = m.lift(x)
        return m.head(m.attend(h, h, value=h)[0].mean(1))

    attend = nn.MultiheadAttention(6, 2, batch_first=True)
    return Model(run, lift=nn.Linear(6, 6), attend=attend, head=nn.Linear(6, 3))


def encoder(norm_first):
    layers = [nn.TransformerEncoderLayer(6, 2, 8, batch_first=True, norm_first=norm_first) for _ in range(2)]
    return Model(
        lambda m, x: m.head(m.second(m.first(m.embed(x))).mean(1)),
        embed=nn.Embedding(9, 6),
        first=layers[0],
        second=layers[1],
        head=nn.Linear(6, 3),
    )


def residual():
    def block(size):
        run = lambda m, x: torch.relu(m.second(torch.relu(m.norm(m.first(x)))) + x)  # noqa: E731
        convolutions = [nn.Conv2d(size, size, 3, padding=1, bias=False) for _ in range(2)]
        return Model(run, first=convolutions[0], norm=warm(nn.BatchNorm2d(size)), second=convolutions[1])

    return nn.Sequential(nn.Conv2d(2, 4, 3), block(4), block(4), nn.Flatten(), nn.Linear(36, 3))


def warm(norm):
    """A batch norm that has seen data."""
    nn.init.normal_(norm.weight)
    norm.running_mean.normal_(std=0.2)
    norm.running_var.uniform_(0.5, 2)
    return norm


def dense():
    def run(m, x):
        first = torch.cat([x, m.first(x).relu()], 1)
        return m.head(torch.cat([first, m.second(first).relu()], 1))

    return Model(run, first=nn.Linear(5, 3), second=nn.Linear(8, 4), head=nn.Linear(12, 3))


def tied_embedding():
    model = Model(
        lambda m, x: m.head(torch.tanh(m.mix(m.embed(x).flatten(1)))),
        embed=nn.Embedding(9, 4),
        mix=nn.Linear(12, 4),
        head=nn.Linear(4, 9, bias=False),
    )
    model.head.weight = model.embed.weight
    return model


def twice():
    return Model(
        lambda m, x: m.head(m.again(m.again(m.lift(x)).tanh()).tanh()),
        lift=nn.Linear(5, 4),
        again=nn.Linear(4, 4),
        head=nn.Linear(4, 3),
    )


def mlp(*sizes, bias=True, activation=nn.Tanh):
    layers = [nn.Linear(n, m, bias) for n, m in pairwise(sizes)]
    parts = [part for layer in layers for part in (layer, activation())]
    return nn.Sequential(*parts[:-1])


def recurrent():
    run = lambda m, x: m.head(m.rnn(x)[0][:, -1])  # noqa: E731
    return Model(run, rnn=nn.LSTM(3, 4, batch_first=True), head=nn.Linear(4, 3))


def decoder():
    return Model(
        lambda m, x: m.mix(m.up(m.first(x).tanh()[:, :, None]).tanh().mean(2), x),
        first=nn.Linear(5, 4),
        up=nn.ConvTranspose1d(4, 6, 3, groups=2),
        mix=nn.Bilinear(6, 5, 3),
    )


class Experts(nn.Module):
    """Two experts, whose weights are parameters of the module itself, and a weight beside them."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(5, 2)
        self.experts = nn.Parameter(torch.randn(2, 4, 5) / 2)
        self.out = nn.Parameter(torch.randn(3, 4))
        self.token = nn.Parameter(torch.randn(1, 1, 4))

    def forward(self, x):
        h = torch.einsum("ne,eoi,ni->no", self.gate(x).softmax(1), self.experts, x) + self.token[0]
        return h.tanh() @ self.out.T


def hooked():
    """Hooks that are part of the function: what leaves the first layer is doubled."""
    model = mlp(5, 6, 3)
    model[0].register_forward_hook(lambda module, args, output: 2 * output)
    return model


def unused():
    return Model(lambda m, x: m.body(x), body=mlp(5, 6, 3), aside=nn.Linear(2, 2))


ENCODER = [
    f"{layer}.{part}"
    for layer in ("first", "second")
    for part in (
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.out_proj",
        "linear1",
        "linear2",
    )
]
INSIDE = tuple(f"{layer}.{part}" for layer in ("first", "second") for part in ("self_attn", "linear1"))
ATTENTION = ["attend.q_proj", "attend.k_proj", "attend.v_proj", "attend.out_proj"]

ZOO = {
    "one layer": Kind(lambda: nn.Linear(5, 3), (5,), ["Linear"], ["input"]),
    "no biases": Kind(lambda: mlp(5, 6, 7, 3, bias=False), (5,), ["0", "2", "4"], ["input", "2", "4"]),
    "in place": Kind(
        lambda: mlp(5, 8, 6, 3, activation=lambda: nn.ReLU(inplace=True)), (5,), ["0", "2", "4"], ["input", "2", "4"]
    ),
    # what enters `1` is written to before it enters `1.1`
    "in place inside": Kind(
        lambda: nn.Sequential(nn.Linear(5, 8), nn.Sequential(nn.ReLU(inplace=True), nn.Linear(8, 3))),
        (5,),
        ["0", "1.1"],
        ["input", "1", "1.1"],
    ),
    "1d": Kind(
        lambda: nn.Sequential(
            nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), nn.Tanh(), nn.Conv1d(6, 5, 2, dilation=2, bias=False),
            nn.Flatten(), nn.Linear(10, 3),
        ),
        (4, 7),
        ["0", "2", "4"],
        ["input", "2", "4"],
    ),
    "2d": Kind(
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=1, groups=2), warm(nn.BatchNorm2d(4)), nn.ReLU(),
            nn.Conv2d(4, 3, 2, dilation=2), nn.Flatten(), nn.Dropout(), nn.Linear(15, 3),
        ),
        (2, 6, 6),
        ["0", "3", "6"],
        ["input", "3", "6"],
    ),
    "attention": Kind(attention, (4, 6), ["memory", *ATTENTION, "head"], ["input", "head"], ("attend",)),
    "self-attention": Kind(self_attention, (4, 6), ["lift", *ATTENTION, "head"], ["input", "attend", "head"]),
    "post-norm": Kind(lambda: encoder(False), (4,), ["embed", *ENCODER, "head"], ["first", "second", "head"], INSIDE[1::2], True),
    "pre-norm": Kind(lambda: encoder(True), (4,), ["embed", *ENCODER, "head"], ["first", "second", "head"], INSIDE, True),
    "used twice": Kind(twice, (5,), ["lift", "again", "head"], ["input", "again", "head"]),
    "tied embedding": Kind(tied_embedding, (3,), ["mix", "head"], ["mix", "head"], (), True),
    "residual": Kind(
        residual,
        (2, 5, 5),
        ["0", "1.first", "1.second", "2.first", "2.second", "4"],
        ["input", "1", "2", "4"],
        ("1.second", "2.second"),
    ),
    "dense": Kind(dense, (5,), ["first", "second", "head"], ["input", "head"], ("second",)),
    "branches": Kind(
        lambda: Model(
            lambda m, x: m.head(torch.cat([m.left(x).tanh(), m.right(m.middle(x).tanh())], 1)),
            left=nn.Linear(5, 4), middle=nn.Linear(5, 3), right=nn.Linear(3, 4), head=nn.Linear(8, 3),
        ),
        (5,),
        ["left", "middle", "right", "head"],
        ["input", "head"],
        ("right",),
    ),
    "keywords": Kind(
        lambda: Model(
            lambda m, x: m.head(x=m.body(scale=2.0, x=x).tanh()),
            body=Model(lambda m, x, scale: scale * m.inner(input=x), inner=nn.Linear(5, 4)),
            head=Model(lambda m, x: m.inner(x), inner=nn.Linear(4, 3)),
        ),
        (5,),
        ["body.inner", "head.inner"],
        ["input", "head"],
    ),
    # the first axis of what enters `inner` are as many positions as points are tried
    "positions first": Kind(
        lambda: Model(
            lambda m, x: m.head(m.inner(x.transpose(0, 1)).tanh().mean(0)), inner=nn.Linear(5, 4), head=nn.Linear(4, 3)
        ),
        (4, 5),
        ["inner", "head"],
        ["input", "head"],
    ),
    "hooked": Kind(hooked, (5,), ["0", "2"], ["input", "2"]),
    # a weight is used by the model itself, before the module that holds it is called
    "transposed": Kind(
        lambda: Model(
            lambda m, x: m.decode(m.mix((x @ m.decode.weight).tanh()).tanh()), mix=nn.Linear(4, 4), decode=nn.Linear(4, 3)
        ),
        (3,),
        ["mix", "decode"],
        ["input", "mix", "decode"],
    ),
    "recurrent": Kind(
        recurrent,
        (6, 3),
        [*(f"rnn.weight_{of}_l0.{gate}" for of in ("ih", "hh") for gate in "ifgo"), "head"],
        ["input", "head"],
    ),
    "decoder": Kind(decoder, (5,), ["first", "up", "mix"], ["input"], ("up", "mix")),
    "experts": Kind(Experts, (5,), ["experts.0", "experts.1", "out", "gate"], ["input"]),
    "unused": Kind(unused, (5,), ["body.0", "body.2", "aside"], ["input", "body.2"]),
}  # fmt: skip


def outputs(kind):
    return 9 if kind == "tied embedding" else 3
