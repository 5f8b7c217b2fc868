import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core import activations

ACTIVATIONS = {
    activation.name: activation
    for activation in (
        activations.IDENTITY,
        activations.TANH,
        activations.RELU,
        activations.SOFTPLUS,
        activations.SIGMOID,
        activations.SILU,
        activations.GELU,
        activations.GELU_TANH,
        activations.SIN,
        activations.CLIP,
        activations.leaky_relu(0.1),
    )
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_of_an_interval_hold_every_secant_and_no_more(name):
    activation, rng = ACTIVATIONS[name], np.random.default_rng(0)
    low = rng.normal(size=200) * 4
    high = low + 10 ** rng.uniform(-2, 1, size=200)
    with jax.enable_x64(True):
        least, most = map(np.asarray, activation.slopes(low, high))
        points = low + (high - low) * np.linspace(0, 1, 801)[:, None]
        secants = np.diff(activation.function(points), axis=0) / np.diff(points, axis=0)
    assert (secants.min(axis=0) >= least - 1e-9).all()
    assert (secants.max(axis=0) <= most + 1e-9).all()
    straight = name not in (
        "relu",
        "clip",
        "leaky_relu",
    )  # a kink's range may be narrower than one secant's step
    if straight:
        assert (secants.min(axis=0) <= least + 0.01).all()
        assert (secants.max(axis=0) >= most - 0.01).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("silu", (-0.0999, 1.0999)),
        ("gelu", (-0.1290, 1.1290)),
        ("gelu_tanh", (-0.1290, 1.1290)),
        ("tanh", (0, 1)),
        ("sigmoid", (0, 0.25)),
        ("softplus", (0, 1)),
        ("sin", (-1, 1)),
        ("leaky_relu", (0.1, 1)),
    ],
)
def test_slopes_everywhere(name, expected):
    with jax.enable_x64(True):
        ranges = ACTIVATIONS[name].slopes(jnp.array([-1e30]), jnp.array([1e30]))
    np.testing.assert_allclose(np.concatenate(ranges), expected, atol=2e-4)
