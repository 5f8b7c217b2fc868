"""The fit of an ensemble: the best epoch is kept, members differ, padding is not seen."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core.networks import MLP
from paracosm.learning.fit import fit, fit_each, pad, row_losses
from paracosm.learning.settings import FitSettings

SETTINGS = FitSettings(
    members=2, width=8, batch=32, rates=(1e-2, 1e-3), patience=3, least_steps=10, most_epochs=40
)


def networks(outputs=1, seed=0):
    keys = jax.random.split(jax.random.key(seed), SETTINGS.members)
    return eqx.filter_vmap(lambda key: MLP(2, outputs, SETTINGS.width, 2, key))(keys)


def rows(count, seed=0, noise=0.0):
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(count, 2))
    return inputs, np.sin(inputs[:, :1]) + inputs[:, 1:] + noise * random.normal(size=(count, 1))


def fitted(train, validation, settings=SETTINGS, loss="squared", seed=1):
    keys = jax.random.split(jax.random.key(seed), settings.members)
    return fit(networks(), pad(*train), pad(*validation), keys, loss=loss, settings=settings)


def loss_of(network, inputs, targets, loss="squared"):
    return float(jnp.mean(row_losses(network, jnp.asarray(inputs), jnp.asarray(targets), loss)))


def member(tree, i):
    return jax.tree.map(lambda leaf: leaf[i], tree)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_each_member_is_the_one_of_its_best_epoch(loss):
    train, validation = rows(40, noise=1.0), rows(50, seed=1, noise=1.0)
    if loss == "logistic":
        train, validation = ((x, y > 0) for x, y in (train, validation))
    result = fitted(train, validation, loss=loss)
    for i in range(2):
        losses = np.asarray(result.losses[i])[: int(result.epochs[i])]
        assert losses[-1] > losses.min()  # few noisy rows: it overfits in the end
        assert loss_of(member(result.networks, i), *validation, loss) == pytest.approx(
            losses.min(), rel=1e-4
        )
        assert np.isnan(np.asarray(result.losses[i])[int(result.epochs[i]) :]).all()


def test_it_stops_when_validation_stalls_at_the_lowest_rate():
    result = fitted(rows(40, noise=1.0), rows(50, seed=1, noise=1.0))
    for losses, epochs in zip(np.asarray(result.losses), np.asarray(result.epochs), strict=True):
        assert 2 * SETTINGS.patience <= epochs < SETTINGS.most_epochs
        best, stale, stalls = np.inf, 0, []
        for number, loss in enumerate(losses[:epochs]):
            stale = 0 if loss < best else stale + 1
            best = min(best, loss)
            if stale == SETTINGS.patience:
                stalls, stale = [*stalls, number + 1], 0
        assert len(stalls) == len(SETTINGS.rates)
        assert stalls[-1] == epochs


def test_members_differ_and_are_reproduced():
    first, again = fitted(rows(40), rows(50, 1)), fitted(rows(40), rows(50, 1))
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
    weights = np.asarray(first.networks.weights[0])
    assert not np.allclose(weights[0], weights[1])


def test_padding_is_never_seen():
    train, validation = pad(*rows(40)), pad(*rows(50, 1))
    keys = jax.random.split(jax.random.key(1), 2)
    poisoned = [
        part._replace(
            targets=np.where(np.arange(len(part.targets))[:, None] < part.number, part.targets, 1e9)
        )
        for part in (train, validation)
    ]
    from_clean = fit(networks(), train, validation, keys, loss="squared", settings=SETTINGS)
    from_poisoned = fit(networks(), *poisoned, keys, loss="squared", settings=SETTINGS)
    for a, b in zip(jax.tree.leaves(from_clean), jax.tree.leaves(from_poisoned), strict=True):
        np.testing.assert_array_equal(a, b)


def test_networks_with_rows_of_their_own_are_fitted_as_if_alone():
    cells = [(pad(*rows(30), 40), pad(*rows(50, 1))), (pad(*rows(40, 2)), pad(*rows(50, 3)))]
    keys = jax.random.split(jax.random.key(1), 2)
    together = fit_each(
        networks(),
        *(
            jax.tree.map(lambda *leaves: np.stack(leaves), *part)
            for part in zip(*cells, strict=True)
        ),
        keys,
        loss="squared",
        settings=SETTINGS,
    )
    for i, cell in enumerate(cells):
        alone = fit(networks(), *cell, keys, loss="squared", settings=SETTINGS)
        assert int(alone.epochs[i]) == int(together.epochs[i])
        for a, b in zip(
            jax.tree.leaves(alone.networks), jax.tree.leaves(together.networks), strict=True
        ):
            np.testing.assert_allclose(a[i], b[i], rtol=1e-4, atol=1e-5)


def test_capacities_grow_by_quarter_powers_of_two():
    sizes = [len(pad(np.zeros((n, 1)), np.zeros((n, 1))).inputs) for n in range(1, 2000)]
    assert all(size >= n for n, size in enumerate(sizes, start=1))
    assert all(size <= 1.2 * n + 1 for n, size in enumerate(sizes, start=1) if n >= 16)
    assert len(set(sizes)) <= 4 * 8


def test_a_member_that_leaves_the_numbers_goes_on_from_its_best():
    wild = FitSettings(
        members=2, width=8, batch=32, rates=(1e30, 1e-2), patience=2, least_steps=10, most_epochs=40
    )
    result = fitted(rows(40), rows(50, 1), settings=wild)
    losses = np.asarray(result.losses)
    assert not np.isfinite(losses[:, 1]).any() or (losses[:, 1] > 1e6).all()
    assert (np.nanmin(losses, axis=1) < 0.5).all()
    assert all(loss_of(member(result.networks, i), *rows(50, 1)) < 0.5 for i in range(2))
