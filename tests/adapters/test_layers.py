"""Torch modules describe their layers, or say why they cannot."""

import jax
import numpy as np
import pytest
import torch

from paracosm.adapters.layers import layers_of_torch
from paracosm.core.layers import Unreadable

STATES = np.random.default_rng(0).normal(size=(20, 3))


def test_readings_of_torch_networks_compute_the_same():
    torch.manual_seed(0)
    nn = torch.nn
    acting = [
        nn.Tanh(),
        nn.ReLU(),
        nn.SiLU(),
        nn.GELU(),
        nn.GELU("tanh"),
        nn.Sigmoid(),
        nn.LeakyReLU(0.2),
    ]
    row = [nn.Linear(3, 4), *(layer for act in acting for layer in (act, nn.Linear(4, 4)))]
    network = nn.Sequential(*row).double()
    with torch.no_grad():
        expected = network(torch.from_numpy(STATES)).numpy()
    with jax.enable_x64(True):
        np.testing.assert_allclose(
            jax.vmap(layers_of_torch(network))(STATES), expected, rtol=1e-10, atol=1e-10
        )


def test_torch_layers_that_compute_something_else_are_not_read():
    class Tanh(torch.nn.Module):
        def forward(self, x):
            return 3 * torch.tanh(x)

    with pytest.raises(Unreadable, match="Tanh is of a type whose slopes are not known"):
        layers_of_torch(torch.nn.Sequential(torch.nn.Linear(3, 2), Tanh()))
    hooked = torch.nn.Sequential(torch.nn.Linear(3, 2))
    hooked[0].register_forward_hook(lambda module, inputs, output: 3 * output)
    with pytest.raises(Unreadable, match="Linear has hooks"):
        layers_of_torch(hooked)
