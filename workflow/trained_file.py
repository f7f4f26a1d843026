"""What every training program shares: the device, and the file of trained networks."""

import torch
import xarray as xr
from torch import Tensor

from nrc import store
from nrc.grid import Ended, Stack, Status
from nrc.network import RegularisedLoss
from nrc.optimize.minimise import Minimum

__all__ = ["choose_device", "device_name", "trained_dataset", "variable"]


def choose_device(name: str) -> torch.device:
    """The torch device for auto, cpu or cuda."""
    if name == "cuda" and not torch.cuda.is_available():
        raise SystemExit("device: cuda is asked for, but torch finds no GPU here; use device: auto or cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def variable(stack: Stack, values: Tensor, long_name: str, dims: tuple[str, ...] = (), **attributes) -> tuple:
    """A variable of a dataset from values (cells, ...), with the stack's dimensions."""
    array = values.cpu().numpy().reshape(stack.shape + values.shape[1:])
    return stack.dims + dims, array, {"long_name": long_name, "units": "1", **attributes}


def trained_dataset(stack: Stack, loss: RegularisedLoss, end: Minimum) -> xr.Dataset:
    """Trained weights W1..WL and how they were reached, with the stack's dimensions."""
    point = end.point
    weights = {
        f"W{l}": variable(stack, w, f"weight matrix of layer {l}", (f"n{l}", f"n{l - 1}"))
        for l, w in enumerate(loss.architecture.split(point.theta), start=1)
    }
    penalty, _ = loss.penalty_gradient(point.theta)
    status = torch.tensor([Ended(code).status for code in end.ended.tolist()], dtype=torch.int8)
    ended = end.ended.to(torch.int8)
    course = {
        "loss": variable(stack, point.value - penalty, "loss without the penalty"),
        "gradient_norm": variable(
            stack, point.gradient.norm(dim=1), "norm ||r|| of the residual of all layers", reference="eq. 4"
        ),
        "relative_residual": variable(
            stack,
            end.residual,
            "relative residual ||r|| / ||gradient of the penalty||",
            reference="eq. 4",
            comment="missing where the penalty's gradient is 0; it is lambda Theta for weight decay",
        ),
        "iterations": variable(stack, end.iterations, "iterations of the method"),
        "evaluations": variable(stack, end.evaluations, "evaluations of the loss with its gradient"),
        "status": variable(stack, status, "status of the cell", **store.flag_attributes(Status)),
        "ended": variable(stack, ended, "reason why training ended", **store.flag_attributes(Ended)),
    }
    return xr.Dataset(weights | course, stack.coords)
