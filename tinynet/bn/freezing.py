"""Batch normalisation with constant statistics while the rest of a network trains."""

from __future__ import annotations

from collections.abc import Iterator

from tinynet import _check
from tinynet.bn.recording import check_model
from tinynet.errors import ArgumentError
from tinynet.nn.module import Module
from tinynet.nn.normalization import _BatchNorm


def freeze(model: Module, affine: bool = False) -> None:
    """Let every batch normalisation in `model` use its running statistics in training mode, too.

    The statistics no longer depend on the batch and no longer move: ``y = gamma (x - running_mean) /
    sqrt(running_var + eps) + beta``, whose gradient treats the statistics as constants.  Common where batches
    are too small for statistics of their own, as in fine-tuning.

    ``layer.eval()`` does the same to one layer until the next ``model.train()``, which turns it back on;
    ``model.eval()`` switches dropout off as well.  This stays until `unfreeze`.  It is no part of
    `state_dict`; a copy of the model is frozen, too.

    Parameters
    ----------
    model : Module
        A network with at least one batch normalisation, all of which keep running statistics.
    affine : bool, default False
        Whether gamma and beta stay as they are, too: their `requires_grad` becomes False.

    Raises
    ------
    ArgumentError
        If there is no batch normalisation, or one does not keep running statistics; nothing is changed.
    DTypeError
        If `model` is no module, or `affine` no bool.

    Examples
    --------
    >>> import tinynet as tn
    >>> model = tn.nn.Sequential(tn.nn.Linear(4, 3), tn.nn.BatchNorm1d(3))
    >>> tn.bn.freeze(model, affine=True)
    >>> y = model.train()(tn.ones(1, 4))  # no batch statistics: one example will do
    >>> model[1].num_batches_tracked.item(), model[1].weight.requires_grad
    (0, False)
    """
    _check.boolean("freeze", "affine", affine)
    layers = dict(_layers("freeze", model))
    for name, layer in layers.items():
        if layer.running_mean is None:
            raise ArgumentError(
                f"freeze: layer {name!r} must keep running statistics; got track_running_stats=False"
            )
    for layer in layers.values():
        layer.frozen = True
        if affine:
            layer.requires_grad_(False)


def unfreeze(model: Module, affine: bool = False) -> None:
    """Undo `freeze`: in training mode, batch normalisation uses the batch's statistics again.

    Parameters
    ----------
    model : Module
        A network with at least one batch normalisation.
    affine : bool, default False
        Whether gamma and beta train again, too: their `requires_grad` becomes True.

    Raises
    ------
    ArgumentError
        If there is no batch normalisation.
    DTypeError
        If `model` is no module, or `affine` no bool.

    Examples
    --------
    >>> import tinynet as tn
    >>> model = tn.nn.Sequential(tn.nn.Linear(4, 3), tn.nn.BatchNorm1d(3))
    >>> tn.bn.freeze(model)
    >>> tn.bn.unfreeze(model)
    >>> y = model(tn.randn(5, 4))
    >>> model[1].num_batches_tracked.item()
    1
    """
    _check.boolean("unfreeze", "affine", affine)
    for _, layer in _layers("unfreeze", model):
        layer.frozen = False
        if affine:
            layer.requires_grad_(True)


def _layers(operation: str, model: Module) -> Iterator[tuple[str, _BatchNorm]]:
    """The batch normalisations of `model`, of which there must be one."""
    check_model(operation, model)
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, _BatchNorm)]
    if not found:
        raise ArgumentError(f"{operation}: model must hold batch normalisations; got {type(model).__name__}")
    return iter(found)
