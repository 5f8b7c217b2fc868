"""mbrl-lib's ensembles: the elites' mean, by whatever way the ensemble answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import paracosm
from paracosm import adapters as foreign
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.mdp import Discrete, Spec
from paracosm.core.policy import MarkovPolicy
from tests.adapters import standins
from tests.adapters.standins import SPEC, SlideEnsemble, SlideTransitions

RNG = np.random.default_rng(0)
STATES, ACTIONS = RNG.uniform(-0.7, 0.7, (7, 2)), RNG.uniform(-2, 2, (7, 1))
X, V = standins.slide(STATES[:, 0], STATES[:, 1], ACTIONS[:, 0])
AFTER, PAID = np.stack([X, V], axis=1), standins.paid(X, V)


def answers(world):
    """Next states and rewards of a batch, in 64 bits."""
    with jax.enable_x64(True):
        after = jax.vmap(lambda s, a: world.dynamics(s, a, jax.random.key(0)))(STATES, ACTIONS)
        return after, jax.vmap(world.reward)(STATES, ACTIONS, after)


@pytest.mark.parametrize("multiple", [False, True])
def test_the_world_is_the_mean_of_the_elites(multiple):
    """A batch of 7 is no multiple of 3 members; the third, no elite, is off by 50."""
    world = foreign.mbrl(SlideTransitions(SlideEnsemble(multiple=multiple)), SPEC)
    after, reward = answers(world)
    np.testing.assert_allclose(after, AFTER, atol=1e-6)  # members are off by numbers of 32 bits
    np.testing.assert_allclose(reward, PAID, atol=1e-6)


def test_a_model_without_elites_is_the_mean_of_all_members():
    model = SlideTransitions(SlideEnsemble())
    model.set_elite([])
    np.testing.assert_allclose(answers(foreign.mbrl(model, SPEC))[0], AFTER + 50 / 3, rtol=1e-6)


class Expectation(SlideEnsemble):
    """Without `use_propagation`: it gives the mean itself, of multiples of its members."""

    def forward(self, x):
        assert len(x) % self.num_members == 0
        mean, variance = self._members(x)
        return mean[:2].mean(0), variance[:2].mean(0)


def test_a_mean_over_members_is_taken_as_it_is():
    after, reward = answers(foreign.mbrl(SlideTransitions(Expectation()), SPEC))
    np.testing.assert_allclose(after, AFTER, atol=1e-6)
    np.testing.assert_allclose(reward, PAID, atol=1e-6)


def member_answers(world):
    with jax.enable_x64(True):
        return jax.vmap(world.dynamics.moments)(STATES, ACTIONS)


@pytest.mark.parametrize("multiple", [False, True])
def test_members_are_the_elites_with_their_own_spreads(multiple):
    world = foreign.mbrl(SlideTransitions(SlideEnsemble(multiple=multiple)), SPEC)
    means, spreads = member_answers(world)
    off = np.array([0.1, -0.1])[:, None]
    np.testing.assert_allclose(means, AFTER[:, None] + off, atol=1e-6)
    expected = np.broadcast_to(np.exp(off / 2), spreads.shape)  # the variance is exp(off)
    np.testing.assert_allclose(spreads, expected, rtol=1e-6)


class Silent(SlideEnsemble):
    """Predicts no variance."""

    def _members(self, x):
        return super()._members(x)[0]


def test_members_that_predict_no_noise_have_none():
    means, spreads = member_answers(foreign.mbrl(SlideTransitions(Silent()), SPEC))
    assert means.shape == spreads.shape == (7, 2, 2)
    assert not np.any(spreads)


class Noisy(SlideEnsemble):
    """Members that agree, and predict noise of this size."""

    def __init__(self, noise):
        super().__init__()
        self.noise = noise

    def _members(self, x):
        mean, _ = super()._members(x)
        return mean - self.off, torch.full_like(mean, 2 * np.log(self.noise))


class Pushing(MarkovPolicy):
    def sample(self, state, key):
        return self.mode(state)

    def mode(self, state):
        return standins.push(state)


@pytest.mark.parametrize(
    ("predicted", "called"),
    [(0.1, "calibrated"), (0.02, "overconfident"), (0.5, "underconfident")],
)
def test_the_members_spread_is_judged(predicted, called):
    """Real steps have noise of 0.1 in both components."""
    rng = np.random.default_rng(5)
    state, steps = rng.uniform(-0.5, 0.5, (10, 2)), []
    for _ in range(SPEC.horizon):
        action = rng.uniform(-2, 2, (10, 1))
        after = np.stack(standins.slide(*state.T, action[:, 0]), axis=1)
        after = after + 0.1 * rng.normal(size=after.shape)
        steps.append((state, action, after, standins.paid(*after.T)))
        state = after
    columns = [np.stack(column, axis=1) for column in zip(*steps, strict=True)]
    alive = np.ones((10, SPEC.horizon), bool)
    episodes = Trajectory(*columns, ~alive, ~alive, alive)
    world = foreign.mbrl(SlideTransitions(Noisy(predicted)), SPEC)
    judged = paracosm.calibrate(world, Pushing(), episodes)
    assert (judged.spread, judged.count) == ("total", 2)
    assert judged.confidence == called
    assert judged.factor.mean == pytest.approx(0.1 / predicted, rel=0.25)


class Halving:
    """mbrl-lib's `Normalizer`, which halves."""

    def normalize(self, rows):
        return rows / 2


def test_inputs_are_processed_and_normalised_and_next_states_are_no_differences():
    """The observation is negated on the way in, halved, and predicted as it is in its second
    component.
    """

    class Undoing(SlideEnsemble):
        def _members(self, x):
            mean, variance = super()._members(x * torch.tensor([-2.0, -2.0, 2.0]))
            return mean + torch.stack([0 * x[:, 0], -2 * x[:, 1], 0 * x[:, 0]], dim=1), variance

    model = SlideTransitions(Undoing())
    model.input_normalizer, model.obs_process_fn = Halving(), lambda obs: -obs
    model.no_delta_list = [1]
    after, reward = answers(foreign.mbrl(model, SPEC))
    np.testing.assert_allclose(after, AFTER, atol=1e-6)
    np.testing.assert_allclose(reward, PAID, atol=1e-6)


class Remote(SlideEnsemble):
    """An ensemble that answers on the CPU once it was moved there."""

    here = False

    def _apply(self, function, recurse=True):
        self.here = True
        return super()._apply(function, recurse)

    def forward(self, x, rng=None, use_propagation=True):
        assert self.here, "Expected all tensors to be on the same device"
        return super().forward(x, rng, use_propagation)


class Dividing:
    """mbrl-lib's `Normalizer`, whose numbers are no part of a module."""

    def __init__(self):
        self.by = torch.zeros(3)

    def normalize(self, rows):
        return rows / self.by


def test_only_the_copy_on_the_cpu_is_asked_and_its_normaliser_comes_along(monkeypatch):
    """What arrives of the normaliser are ones."""
    model = SlideTransitions(Remote())
    model.input_normalizer = Dividing()
    moved = torch.Tensor.cpu
    monkeypatch.setattr(
        torch.Tensor, "cpu", lambda self: torch.ones(3) if self.shape == (3,) else moved(self)
    )
    np.testing.assert_allclose(answers(foreign.mbrl(model, SPEC))[0], AFTER, atol=1e-6)
    assert not model.model.here
    assert not model.input_normalizer.by.any()


class Unrewarded(SlideEnsemble):
    """Predicts next states alone, as they are."""

    def __init__(self):
        super().__init__()
        self.out_size = 2

    def _members(self, x):
        mean, variance = super()._members(x)
        return mean[..., :2] + x[:, :2], variance[..., :2]


def test_known_rewards_are_functions_of_action_and_next_state():
    model = SlideTransitions(Unrewarded(), learned_rewards=False)
    model.target_is_delta = False
    with pytest.raises(checks.BadArgument, match="has not learned rewards; give mbrl-lib's reward"):
        foreign.mbrl(model, SPEC)
    world = foreign.mbrl(model, SPEC, reward=lambda a, after: standins.paid(*after.T)[:, None])
    after, reward = answers(world)
    np.testing.assert_allclose(after, AFTER, atol=1e-6)
    np.testing.assert_allclose(reward, PAID, atol=1e-6)


def test_derivatives_are_those_of_differences():
    world = foreign.mbrl(SlideTransitions(SlideEnsemble()), SPEC)
    with jax.enable_x64(True):
        slopes = jax.jacrev(lambda s: world.dynamics(s, ACTIONS[0], jax.random.key(0)))(STATES[0])
    by_differences = [
        (standins.slide(*(STATES[0] + step), ACTIONS[0, 0])[i]
         - standins.slide(*(STATES[0] - step), ACTIONS[0, 0])[i]) / 2e-5
        for i in (0, 1)
        for step in 1e-5 * np.eye(2)
    ]  # fmt: skip
    np.testing.assert_allclose(np.ravel(slopes), by_differences, atol=1e-6)


class Methods:
    """A latent model without values."""

    encode = next = reward = pi = print


BAD = [
    (
        "the ensemble alone",
        SlideEnsemble(),
        SPEC,
        "a OneDTransitionRewardModel, around its ensemble",
    ),
    (
        "TD-MPC2's model",
        standins.SlideModel(),
        SPEC,
        "paracosm.foreign.tdmpc2 is for models with encode, next, reward, pi, Q",
    ),
    ("a latent model", Methods(), SPEC, "paracosm.foreign.latent is for models"),
    ("a number", 3, SPEC, "the mbrl-lib model is 3; a OneD"),
    (
        "states",
        SlideTransitions(SlideEnsemble()),
        Spec(3, SPEC.action, jnp.ones(3), 5),
        "in_size is 3; a task of 3 state and 1 action components needs 4",
    ),
    (
        "choices",
        SlideTransitions(SlideEnsemble()),
        Spec(2, Discrete(2), jnp.ones(2), 5),
        "continuous ones",
    ),
]


@pytest.mark.parametrize(
    ("model", "spec", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD]
)
def test_what_does_not_fit_is_named(model, spec, message):
    with pytest.raises(checks.BadArgument, match=message):
        foreign.mbrl(model, spec)
