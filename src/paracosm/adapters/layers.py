"""Modules of `torch.nn` as `Layered` networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from paracosm.core import activations
from paracosm.core.activations import Activation
from paracosm.core.layers import Layered, Unreadable, affine, in_a_row, unknown

_TORCH: dict[str, Callable[[Any], Activation]] = {
    "Tanh": lambda layer: activations.TANH,
    "ReLU": lambda layer: activations.RELU,
    "Sigmoid": lambda layer: activations.SIGMOID,
    "SiLU": lambda layer: activations.SILU,
    "Identity": lambda layer: activations.IDENTITY,
    "GELU": lambda layer: (
        activations.GELU if layer.approximate == "none" else activations.GELU_TANH
    ),
    "LeakyReLU": lambda layer: activations.leaky_relu(float(layer.negative_slope)),
}


def layers_of_torch(module: Any) -> Layered:
    """What a module computes, known by its name so that torch need not be there.

    Raises:
        Unreadable: it, or a module in it, is of a type whose slopes are not known.
    """
    name = _name(module)
    if name == "Sequential":
        return in_a_row(module, _activation, layers_of_torch)
    if name != "Linear":
        raise unknown(f"torch.nn.{name}")
    weight = module.weight.detach().cpu().double().numpy()
    bias = 0.0 if module.bias is None else module.bias.detach().cpu().double().numpy()
    return affine(weight, bias)


def _activation(layer: Any) -> Activation | None:
    activation = _TORCH.get(_name(layer))
    return None if activation is None else activation(layer)


def _name(module: Any) -> str:
    """The class of a module that is torch's own and does nothing besides."""
    name = type(module).__name__
    if not type(module).__module__.startswith("torch.nn.modules."):
        raise unknown(name)
    if module._forward_hooks or module._forward_pre_hooks:
        raise Unreadable(f"torch.nn.{name} has hooks, which may compute something else")
    return name
