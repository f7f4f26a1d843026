"""Figures of measured networks in a notebook, and of networks from a file: `nrc.plot`."""

import io

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import nrc
from nrc.cubes import of_network
from nrc.figures.notebook import KINDS
from nrc.figures.style import styled
from nrc.grid import AXES
from nrc.status import TerminationReason
from support.made_up import cube, end
from support.own_networks import RESNET, SMALL, K, measured, of_spectra, recorded


def panels(figure):
    """Titles of the panels of a figure, and the title of the figure."""
    return [axis.get_title() for axis in figure.axes if axis.get_title()], figure.get_suptitle()


def curves(axis):
    """Visible lines of an axis, without straight lines across it."""
    return [line for line in axis.lines if len(line.get_xdata()) > 2 and np.isfinite(line.get_ydata()).any()]


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def overlaps(figure):
    """Pairs of texts that overlap when the figure is laid out."""
    with styled():
        figure.draw_without_rendering()
    titles = [axis.title for axis in figure.axes if axis.get_title()]
    boxes = [text.get_window_extent() for text in [*titles, *([figure._suptitle] * bool(figure._suptitle))]]
    boxes += [legend.get_window_extent() for legend in figure.legends]
    return [(a, b) for place, a in enumerate(boxes) for b in boxes[:place] if a.overlaps(b)]


DATASETS = {
    "ResNet-18": measured(RESNET, without=list(RESNET)[1:18:2]),
    "ResNet-18 recorded": recorded(RESNET),
    "one layer": measured({"0": 10}),
    "a cell with snapshots": cube().isel(weight_decay=0, sigma=1, seed=0),
    "a cube": cube(sigma=[0.0]),
}


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_is_drawn_in_full_and_nothing_lies_over_another(name):
    dataset = DATASETS[name]
    figure = nrc.plot(dataset)
    assert isinstance(figure, Figure)
    assert overlaps(figure) == []
    assert all(curves(axis) for axis in figure.axes), "no panel is empty"
    if set(AXES).isdisjoint(dataset.dims):
        titles, _ = panels(figure)
        assert len(titles) == dataset.sizes["layer"]
    assert figure.get_figheight() < 9


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_draws_a_cube(kind):
    assert overlaps(nrc.plot(cube(sigma=[0.0], depth=[2]), kind)) == []


def test_the_kind_follows_from_the_variables():
    assert "call 0" in labels(nrc.plot(recorded()))
    tail, clusters = "tail beyond $r$", f"$r=K={K}$"
    certified = "certified by $r$ directions of centroid gradients (Theorem 3.4, projected)"
    assert labels(nrc.plot(measured())) == [tail, certified, clusters]
    assert labels(nrc.plot(measured(weight_decay=0.0))) == [tail, clusters]
    assert labels(nrc.plot(of_spectra())) == [tail]
    assert labels(nrc.plot(measured(), "tails")) == [tail, clusters]


def test_the_curves_are_the_numbers_of_the_dataset():
    made = measured()
    axis = nrc.plot(made).axes[1]
    tail, bound = (line for line in axis.lines if len(line.get_xdata()) == 20)
    for line, name in ((tail, "relative_tail"), (bound, "tail_bound")):
        assert line.get_ydata() == pytest.approx(made[name].sel(layer="2", index=line.get_xdata()).values)
    axis = nrc.plot(made, "tails").axes[0]
    tail = curves(axis)[-1]
    assert tail.get_xdata().tolist() == list(range(1, 65))
    bottom = axis.get_ylim()[0]
    assert bottom < np.min(tail.get_ydata()[:-1]), "all of the curve is visible"


def test_layers_have_their_names_and_the_order_of_the_option():
    titles, above = panels(nrc.plot(measured()))
    assert titles == ["module 0", "module 2", "module 4"]
    assert above == r"$\lambda=0.01$, relative residual 3.2e-03"
    long = measured({"encoder.layers.0.self_attention.out_proj": 30, "head": 10})
    assert panels(nrc.plot(long))[0] == ["encoder.layers.0.\nself_attention.\nout_proj", "head"]
    assert "into layer1.0.conv1" in labels(nrc.plot(recorded(RESNET)))
    assert panels(nrc.plot(recorded()))[1] == "", "a recorder has no weight decay"
    rows = nrc.plot(cube(sigma=[0.0]), "certified", layers=[3, 1]).axes[::2]
    assert [axis.get_ylabel().split("\n")[0] for axis in rows] == ["layer 3", "layer 1"]


def test_a_network_from_a_file_has_its_cell_in_the_title():
    made = end(cube(), TerminationReason.EPOCHS, weight_decay=0.01)
    titles, above = panels(nrc.plot(made.sel(weight_decay=0.1, sigma=0.3, seed=1), "certified"))
    assert titles == ["layer 1", "layer 2", "layer 3"]
    assert above == r"$\lambda=0.1$, $\sigma=0.3$, 1 of 1 converged"
    other = made.sel(weight_decay=0.01, sigma=0.3, seed=1)
    assert panels(nrc.plot(other, "spectra"))[1] == r"$\lambda=0.01$, 0 of 1 converged"


def test_a_layer_without_a_bound_has_a_note_and_its_tail():
    figure = nrc.plot(measured(without=["0"]))
    assert [[text.get_text() for text in axis.texts] for axis in figure.axes] == [["no bound"], [], []]
    assert len(figure.axes[0].lines[1].get_xdata()) == 20
    figure = nrc.plot(measured(room=90))
    assert all([text.get_text() for text in axis.texts] == ["bound above 1: void"] for axis in figure.axes)


def test_the_unit_of_snapshots_is_in_their_coordinate():
    for coordinate, unit in (({}, "call"), ({"long_name": "epochs over the data"}, "epoch")):
        figure = nrc.plot(recorded(**coordinate))
        assert labels(figure)[:2] == [f"{unit} 0", f"{unit} 30"]
        assert figure.axes[-1].get_xlabel() == f"{unit}s"


def test_the_class_wcss_is_without_inputs_and_logarithmic_if_it_varies_widely():
    axis = nrc.plot(recorded(RESNET)).axes[-1]
    assert (axis.get_yscale(), len(axis.lines)) == ("log", len(RESNET) - 1)
    flat, unlabelled = recorded(), recorded()
    flat["snapshot_wcss"] = 1 + 0.01 * flat["snapshot_wcss"]
    axis = nrc.plot(flat).axes[-1]
    assert (axis.get_yscale(), axis.get_ylim()[0], len(axis.lines)) == ("linear", 0, 2)
    unlabelled["snapshot_wcss"][:] = np.nan
    assert len(nrc.plot(unlabelled).axes) == 3, "no empty panel"


def test_bounds_of_one_network_have_a_mark_for_each_layer_on_equal_scales():
    figure = nrc.plot(measured(), "bounds")
    assert len(figure.axes) == 2
    for axis in figure.axes:
        assert axis.get_xlim() == axis.get_ylim()
        assert len(axis.collections) == 2
    assert labels(figure) == ["module 0", "module 2", "equality"]
    assert figure.get_suptitle().endswith("2 of 3 layers have a bound and a distance above 0")
    (text,) = nrc.plot(measured({"4": K}), "bounds").axes[0].texts
    assert text.get_text() == "no layer has both above 0"


def test_selections_and_several_runs_are_drawn():
    for kind in ("certified", "bounds"):
        for part in ({"layer": "2"}, {"source": "input"}, {"layer": "2", "source": "2"}):
            kept = {dim: [value] for dim, value in part.items()}
            assert labels(nrc.plot(measured().sel(part), kind)) == labels(
                nrc.plot(measured().sel(kept), kind)
            )
    part = cube(sigma=[0.0]).sel(weight_decay=0.1)
    assert len(nrc.plot(part.sel(layer=2, source=1)).axes) == 2, "a spectrum and the class WCSS"
    both = xr.concat([measured(), measured()], "seed")
    assert panels(nrc.plot(both))[0] == panels(nrc.plot(measured()))[0]
    with pytest.raises(
        ValueError, match="the dataset has the dimension 'run'; choose one of its values, or rename"
    ):
        nrc.plot(both.rename(seed="run"))


# Style and notebooks.


def test_the_default_colour_map_is_that_of_the_kind():
    for kind, default in (("spectra", "Blues"), ("certified", "viridis"), ("tails", "viridis")):
        dataset = recorded() if kind == "spectra" else measured()
        colours = [
            [line.get_color() for line in nrc.plot(dataset, kind, **options).axes[0].lines]
            for options in ({}, {"colour_map": default}, {"colour_map": "rocket"})
        ]
        assert colours[0] == colours[1] != colours[2], kind


def test_a_notebook_displays_a_figure_that_keeps_its_style():
    figure = nrc.plot(measured())
    before = dict(mpl.rcParams)
    picture = figure._repr_png_()
    assert picture.startswith(b"\x89PNG")
    assert dict(mpl.rcParams) == before
    with mpl.rc_context({"font.size": 30, "xtick.labelsize": 30, "lines.linewidth": 9}):
        assert nrc.plot(measured())._repr_png_() == picture
        file = io.BytesIO()
        figure.savefig(file, dpi=120)
    assert figure._repr_png_() == picture
    assert file.getbuffer().nbytes > 1000


NO_VALUES = "which has no values in the dataset: nrc.Recorder returns snapshots"


@pytest.mark.parametrize(
    ("dataset", "options", "error", "message"),
    [
        ("measures.nc", {}, TypeError, "plot draws a Dataset, such as nrc.measure and nrc.load return, not str"),
        (measured(), {"layer": ["0"]}, TypeError, "plot has no option 'layer'; its options are layers and colour_map"),
        (measured(), {"layers": ["0", "1"]}, ValueError, "there is no layer '1'; the layers are '0', '2' and '4'"),
        (measured(), {"kind": "plane"}, ValueError, "kind is 'plane', but must be one of spectra, certified, tails, bounds"),
        (measured(), {"kind": "spectra"}, ValueError, f"spectra draws snapshot_singular_values, {NO_VALUES}"),
        (measured(), {"colour_map": "virdis"}, ValueError, "colour_map is 'virdis', but must be the name of a colour map"),
        (cube(weight_decay=range(9)), {"kind": "certified"}, ValueError, "the figure draws at most 8 pairs of weight decay"),
    ],
)  # fmt: skip
def test_a_dataset_that_cannot_be_drawn_is_refused_in_one_line(dataset, options, error, message):
    with pytest.raises(error) as caught:
        nrc.plot(dataset, **options)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_network_in_the_form_of_a_cube_has_all_axes():
    own = of_network(measured())
    assert {axis: own.sizes[axis] for axis in AXES} == dict.fromkeys(AXES, 1)
    assert own["weight_decay"].item() == 0.01
    assert np.isnan(own["sigma"].item())
    tails = own["relative_tail"].squeeze().values
    assert tails == pytest.approx(measured()["relative_tail"].values, nan_ok=True)
    made = cube()
    assert of_network(made).identical(made)
    assert of_network(made.sel(weight_decay=0.1, seed=[1]))["weight_decay"].values.tolist() == [0.1]
    assert of_network(measured().assign(width=4))["width"].values.tolist() == [4]
    assert list(SMALL) == own["layer"].values.tolist()
