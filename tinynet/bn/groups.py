"""Parameter groups that slow the scales of normalisations (Davis & Frank 2021).

The scales (gamma) of a network learn at the rate ``lr / c`` and are not decayed; other one-dimensional
parameters, biases and shifts (beta) for the most part, learn at ``lr`` and are not decayed; all the rest, the
weights of convolutions and linear layers, learns at ``lr`` and is decayed.
"""

from __future__ import annotations

from typing import Any

from tinynet import _check
from tinynet.bn.recording import check_model
from tinynet.errors import ArgumentError
from tinynet.nn.module import Module
from tinynet.nn.normalization import GroupNorm, LayerNorm, _BatchNorm
from tinynet.nn.parameter import Parameter

_NORMS = (_BatchNorm, LayerNorm, GroupNorm)


def parameter_groups(
    model: Module, scale_lr_divisor: float = 100.0, *, lr: float, weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Divide the parameters of `model` into groups for an optimiser, in which normalisation scales are slow.

    ===========  ==========================================  =========================  ================
    name         parameters                                  lr                         weight_decay
    ===========  ==========================================  =========================  ================
    "scales"     scales of normalisations                    ``lr / scale_lr_divisor``  0
    "no decay"   their shifts; other parameters with 1 axis  `lr`                       0
    "weights"    all others                                  `lr`                       `weight_decay`
    ===========  ==========================================  =========================  ================

    Schedulers of PyTorch's kind multiply the rate of every group with the same factor (or, as
    `CosineAnnealingLR` with ``eta_min=0``, come to the same), and keep the ratio.

    Parameters
    ----------
    model : Module
        Any network with parameters; it need not hold a normalisation.
    scale_lr_divisor : float, default 100.0
        c, what the rate of the scales is divided by; positive.  At 1 and below nothing is slowed, and the
        scales learn at `lr`.  A scale that starts at k keeps the pace of one that starts at 1 for
        c = 1 / k^2.
    lr : float
        Learning rate, at least 0.
    weight_decay : float, default 0.0
        Of the weights, at least 0.

    Returns
    -------
    list of dict
        One per line of the table, in its order, with "params" (a list in the order of
        ``model.parameters()``), "name", "lr" and "weight_decay"; a group without parameters is left out.
        Every parameter stands in exactly one; so do frozen ones (``requires_grad=False``), as in
        ``model.parameters()``: optimisers leave them alone as long as they have no gradient.  A parameter
        that several layers share is a scale if it is one anywhere.

    Raises
    ------
    ArgumentError
        If there are no parameters, or a number is out of range.
    DTypeError
        If `model` is no module, or a number no number.

    Notes
    -----
    Normalisations are the layers `BatchNorm1d`, `BatchNorm2d`, `InputNorm2d`, `LayerNorm` and `GroupNorm`,
    and classes made of them.  The code published with the paper goes by names: there, every one-dimensional
    parameter with "weight" in its name is a scale, of whatever layer.

    References
    ----------
    J. Davis, L. Frank: Revisiting Batch Normalization, 2021.

    Examples
    --------
    >>> import tinynet as tn
    >>> norm = tn.nn.BatchNorm1d(3, scale_init=0.1)
    >>> model = tn.nn.Sequential(tn.nn.Linear(4, 3, bias=False), norm, tn.nn.ReLU(), tn.nn.Linear(3, 2))
    >>> groups = tn.bn.parameter_groups(model, lr=0.1, weight_decay=1e-4)
    >>> for group in groups:
    ...     print(group["name"], [p.shape for p in group["params"]], group["lr"], group["weight_decay"])
    scales [(3,)] 0.001 0.0
    no decay [(3,), (2,)] 0.1 0.0
    weights [(3, 4), (2, 3)] 0.1 0.0001
    >>> optimizer = tn.optim.SGD(groups, momentum=0.9)
    """
    check_model("parameter_groups", model)
    c = _check.real("parameter_groups", "scale_lr_divisor", scale_lr_divisor, 0, above=True)
    rate = _check.real("parameter_groups", "lr", lr, 0)
    decay = _check.real("parameter_groups", "weight_decay", weight_decay, 0)
    norms = [module for module in model.modules() if isinstance(module, _NORMS)]
    scales = {id(norm.weight) for norm in norms}  # of None too, where a layer has none: no parameter is that
    shifts = {id(norm.bias) for norm in norms}
    groups: dict[str, list[Parameter]] = {"scales": [], "no decay": [], "weights": []}
    for parameter in model.parameters():
        if id(parameter) in scales:
            name = "scales"
        elif id(parameter) in shifts or parameter.ndim <= 1:
            name = "no decay"
        else:
            name = "weights"
        groups[name].append(parameter)
    if not any(groups.values()):
        raise ArgumentError(f"parameter_groups: model must hold parameters; got {type(model).__name__}")
    options = {
        "scales": {"lr": rate / max(c, 1.0), "weight_decay": 0.0},
        "no decay": {"lr": rate, "weight_decay": 0.0},
        "weights": {"lr": rate, "weight_decay": decay},
    }
    return [{"name": name, "params": members, **options[name]} for name, members in groups.items() if members]
