"""State-space models: TorchRL's own modules, an RSSM that steps states of its own, and windows.

Latents are those of the model's own play, whatever it samples; planted faults are named.
"""

import dataclasses
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import paracosm
from paracosm import adapters as foreign
from paracosm.core import callbacks, checks
from paracosm.core.mdp import Box, Discrete, Spec
from tests.adapters.rememberers import HORIZON, SPEC, Cart

models = importlib.import_module("torchrl.modules.models")
SPACE = Box(-jnp.ones(1), jnp.ones(1))
TASK = Spec(3, SPACE, jnp.ones(3), 10)
H, Z, WIDTH = 8, 6, 8


class Head(torch.nn.Module):
    """Of `(z, h)`, as TorchRL's are."""

    def __init__(self, z, outputs=1):
        super().__init__()
        self.net = torch.nn.Linear(z + H, outputs)

    def forward(self, z, h):
        return torch.tanh(self.net(torch.cat([z, h], dim=1)))


def gaussian():
    prior = models.RSSMPrior(
        importlib.import_module("torchrl.data").Unbounded((1,)),
        hidden_dim=WIDTH, rnn_hidden_dim=H, state_dim=Z, action_dim=1,
    )  # fmt: skip
    posterior = models.RSSMPosterior(WIDTH, Z, rnn_hidden_dim=H, obs_embed_dim=4)
    return prior, posterior, Z


def categorical():
    sizes = {"num_categoricals": 3, "num_classes": 4}
    prior = models.RSSMPriorV3(hidden_dim=WIDTH, rnn_hidden_dim=H, action_dim=1, **sizes)
    posterior = models.RSSMPosteriorV3(hidden_dim=WIDTH, rnn_hidden_dim=H, obs_embed_dim=4, **sizes)
    return prior, posterior, 12


PAIRS = {"gaussian": gaussian, "categorical": categorical}


def heads(z):
    torch.manual_seed(1)
    return {"encode": torch.nn.Linear(3, 4), "reward": Head(z), "act": Head(z)}


def held(kind, form):
    """A pair in the forms in which TorchRL holds it."""
    nn, torchrl = (importlib.import_module(name) for name in ("tensordict.nn", "torchrl.modules"))
    torch.manual_seed(0)
    prior, posterior, z = PAIRS[kind]()
    if form == "alone":
        return (prior, posterior), z
    outputs = [*["_"] * (1 if kind == "categorical" else 2), ("next", "state"), ("next", "belief")]
    module = nn.TensorDictModule(prior, ["state", "belief", "action"], outputs)
    after = nn.TensorDictModule(
        posterior, [("next", "belief"), ("next", "embedding")], [*outputs[:-2], ("next", "state")]
    )
    if form == "rollout":
        return models.RSSMRollout(module, after), z
    reward = nn.TensorDictModule(
        Head(z), [("next", "state"), ("next", "belief")], [("next", "reward")]
    )
    wrapper = torchrl.WorldModelWrapper(nn.TensorDictSequential(module), reward)
    if form == "environment":
        envs = importlib.import_module("torchrl.envs.model_based.dreamer")
        wrapper = envs.DreamerEnv(wrapper, (z,), (H,))
    return (wrapper, after), z


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("gaussian", "alone"),
        ("categorical", "alone"),
        ("gaussian", "rollout"),
        ("gaussian", "wrapper"),
        ("categorical", "environment"),
    ],
)
def test_latents_of_torchrls_modules_are_those_of_its_statistics(kind, form):
    rssm, z = held(kind, form)
    model = foreign.dreamer(rssm, TASK, **heads(z))
    torch.manual_seed(0)
    prior, posterior, _ = PAIRS[kind]()
    encode = heads(z)["encode"]
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 3)).astype(np.float32)
    action = np.array([0.4], np.float32)

    def mode(statistics):
        if kind == "gaussian":
            return statistics[0]
        chosen = statistics[0].argmax(dim=-1)
        return torch.nn.functional.one_hot(chosen, 4).float().flatten(1)

    with torch.no_grad():
        h = torch.zeros(1, H)
        begun = torch.cat([h, mode(posterior(h, encode(torch.tensor(first)[None])))], dim=1)
        moved = prior(begun[:, H:], h, torch.tensor(action)[None])
        h = moved[-1]
        imagined = torch.cat([h, mode(moved)], dim=1)
        observed = torch.cat([h, mode(posterior(h, encode(torch.tensor(second)[None])))], dim=1)
    start = model.encoder.initial(jnp.asarray(first))
    np.testing.assert_allclose(start, begun[0], atol=1e-5)
    updated = model.encoder.update(start, jnp.asarray(action), jnp.asarray(second))
    np.testing.assert_allclose(updated, observed[0], atol=1e-5)
    world = model._world(dataclasses.replace(TASK, state_size=H + z, state_scale=jnp.ones(H + z)))
    after = world.dynamics(start, jnp.asarray(action), jax.random.key(0))
    np.testing.assert_allclose(after, imagined[0], atol=1e-5)


@pytest.mark.parametrize("kind", PAIRS)
def test_normals_draw_latents_of_the_models_own_distribution(kind):
    (prior, posterior), z = held(kind, "alone")
    model = foreign.dreamer((prior, posterior), TASK, noise=z, **heads(z))
    size = H + z
    world = model._world(dataclasses.replace(TASK, state_size=size, state_scale=jnp.ones(size)))
    state, count = jnp.zeros(size), 4000
    with callbacks.as_raised():
        keys = jax.random.split(jax.random.key(0), count)
        drawn = jax.vmap(lambda key: world.dynamics(state, jnp.zeros(1), key))(keys)[:, H:]
    with torch.no_grad():
        statistics = prior(torch.zeros(1, z), torch.zeros(1, H), torch.zeros(1, 1))
    if kind == "gaussian":
        mean, spread = statistics[0][0].numpy(), statistics[1][0].numpy()
    else:
        mean = torch.softmax(statistics[0], dim=-1).flatten().numpy()
        spread = np.sqrt(mean * (1 - mean))
        assert set(np.unique(drawn)) == {0, 1}
    # 5 standard errors: 2 in a million for each of at most 12 numbers
    np.testing.assert_array_less(np.abs(drawn.mean(axis=0) - mean), 5 * spread / np.sqrt(count))
    np.testing.assert_allclose(drawn.std(axis=0), spread, rtol=0.1)


def test_an_audit_of_a_categorical_pair_is_exact_and_differentiates_what_is_answered():
    rssm, z = held("categorical", "alone")
    model = foreign.dreamer(rssm, TASK, **heads(z))
    inside = model.on(paracosm.evaluate("Pendulum-v1", model.policy, episodes=3, horizon=10))
    diagnosis = paracosm.audit(inside.world, inside.policy, inside.episodes)
    assert diagnosis.closure < 1e-6
    assert len(diagnosis.dynamics_by_dimension.dimensions) == H + z
    assert inside.world.dynamics.derivatives == "torch autograd"


class Steps(torch.nn.Module):
    """An RSSM of the cart that steps states of its own, as Dreamer's ports to PyTorch do.

    h is what the last state and action predict of (x, v), z the surprise, in two categoricals if
    `binned`: exact otherwise.
    """

    def __init__(self, decay=0.9):
        super().__init__()
        self.decay = torch.nn.Parameter(torch.tensor(decay))

    def initial(self, batch):
        zeros = torch.zeros(batch, 2)
        return {"deter": zeros, "stoch": zeros, "mean": zeros, "std": zeros}

    def img_step(self, state, action, sample=True):
        x, v = self.get_feat(state).T
        deter = torch.stack([x + 0.2 * v, self.decay * v + 0.3 * action[:, 0]], dim=1)
        return self.state(deter, torch.zeros_like(deter), sample)

    def obs_step(self, state, action, embed, is_first, sample=True):
        prior = self.img_step(state, action, sample)
        deter = prior["deter"] * (1 - is_first[:, None])
        surprise = torch.stack([embed[:, 0] - deter[:, 0], torch.zeros_like(embed[:, 0])], dim=1)
        return self.state(deter, surprise, sample), prior

    def state(self, deter, mean, sample):
        std = torch.full_like(mean, 0.1)
        stoch = mean + std * torch.randn_like(mean) if sample else mean
        return {"deter": deter, "stoch": stoch, "mean": mean, "std": std}

    def get_feat(self, state):
        return state["deter"] + state["stoch"]


def paid(features, bonus=0.0):
    return torch.distributions.Normal(torch.cos(3 * features[:, 0]) - features[:, 1] + bonus, 1.0)


def pushing(features):
    return 0.9 * torch.tanh(4 * features[:, :1] + features[:, 1:])


def stepping(rssm=None, **options):
    arguments = {"encode": torch.nn.Identity(), "reward": paid, "act": pushing, **options}
    return foreign.dreamer(rssm or Steps(), SPEC, **arguments)


def of_cart(model, ends=False, episodes=24):
    return model.on(
        paracosm.evaluate(lambda: Cart(ends), model.policy, episodes=episodes, horizon=HORIZON)
    )


class Remembering(Steps):
    """It keeps what it had the step before beside what it has."""

    def initial(self, batch):
        return {name: torch.zeros(batch, 4) for name in ("deter", "stoch", "mean", "std")}

    def img_step(self, state, action, sample=True):
        x, v, *_ = self.get_feat(state).T
        moved = [x + 0.2 * v, self.decay * v + 0.3 * action[:, 0], x, v]
        deter = torch.stack(moved, dim=1)
        return self.state(deter, torch.zeros_like(deter), sample)

    def obs_step(self, state, action, embed, is_first, sample=True):
        prior = self.img_step(state, action, sample)
        deter = prior["deter"] * (1 - is_first[:, None])
        surprise = torch.zeros_like(deter)
        surprise[:, 0] = embed[:, 0] - deter[:, 0]
        return self.state(deter, surprise, sample), prior


LATE = {
    "rssm": Remembering(),
    "reward": lambda features: paid(features[:, 2:]),
    "act": lambda features: pushing(features[:, :2]),
}
FAULTS = {
    "nothing": ({}, False, []),
    "late reward": (LATE, False, ["reward timing"]),
    "reward + 1": ({"reward": lambda features: paid(features, 1.0)}, False, ["reward offset"]),
    "no end rule": ({}, True, ["missed terminations"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_an_rssm_that_steps_its_own_states_are_named(fault):
    options, ends, named = FAULTS[fault]
    inside = of_cart(stepping(**options), ends)
    diagnosis = paracosm.audit(
        inside.world, inside.policy, inside.episodes, certify=False, dimensions=False
    )
    assert [finding.kind for finding in diagnosis.findings] == named
    assert (abs(diagnosis.gap.total.mean) < 1e-3) == (not named)


class Straight(Steps):
    """Its latent is one-hot of its logits, with the gradient passed straight through."""

    def state(self, deter, mean, sample):
        logits = torch.stack([mean, -mean], dim=2)
        sharp = torch.nn.functional.one_hot(logits.argmax(-1), 2)
        stoch = sharp + logits - logits.detach()
        return {"deter": deter, "stoch": stoch, "logit": logits}

    def initial(self, batch):
        zeros = torch.zeros(batch, 2, 2)
        return {"deter": torch.zeros(batch, 2), "stoch": zeros, "logit": zeros}

    def get_feat(self, state):
        return state["deter"] + state["stoch"][:, :, 0]


class Mixing(Straight):
    """Sure of every first class by its logits, with which its distribution mixes equal chances."""

    def state(self, deter, mean, sample):
        sure = torch.tensor([50.0, 0.0]).expand(*mean.shape, 2)
        return {**super().state(deter, mean, sample), "logit": sure}

    def get_dist(self, state):
        chances = 0.5 * torch.softmax(state["logit"], dim=-1) + 0.25
        one_hot = torch.distributions.OneHotCategorical(probs=chances)
        return torch.distributions.Independent(one_hot, 1)


def test_draws_are_of_the_models_own_distribution_and_not_of_its_logits_alone():
    world = stepping(Mixing(), noise=4)._world(
        dataclasses.replace(SPEC, state_size=6, state_scale=jnp.ones(6))
    )
    keys = jax.random.split(jax.random.key(0), 400)
    state = jnp.array([0.1, 0.2, 1.0, 0, 1.0, 0])
    drawn = jax.vmap(lambda key: world.dynamics(state, jnp.zeros(1), key))(keys)[:, 2:]
    # 5 standard errors: 2 in a million for each of two free numbers
    most = 5 * np.sqrt(0.75 * 0.25 / len(keys))
    np.testing.assert_allclose(drawn.mean(axis=0), [0.75, 0.25] * 2, atol=most)


def test_no_gradient_passes_an_argmax():
    model = stepping(Straight())
    assert [part.shape for part in model.form.parts] == [(2,), (2, 2)]
    world = model._world(dataclasses.replace(SPEC, state_size=6, state_scale=jnp.ones(6)))
    state = jnp.array([0.1, 0.2, 1.0, 0, 0, 1])
    key = jax.random.key(0)
    with jax.enable_x64(True):
        wide = jnp.asarray(np.asarray(state), jnp.float64)
        jacobian = np.asarray(jax.jacrev(lambda s: world.dynamics(s, np.zeros(1), key))(wide))
    np.testing.assert_allclose(jacobian[:2, 0], [1, 0], atol=1e-7)
    assert (jacobian[2:] == 0).all()
    assert world.dynamics.derivatives == "torch autograd"


def test_what_is_no_rssm_and_another_number_of_normals_are_refused():
    with pytest.raises(checks.BadArgument, match=r"given a Linear; an RSSM with img_step, .* or a"):
        stepping(torch.nn.Linear(2, 2))
    with pytest.raises(checks.BadArgument, match="noise is 3; z has 2 numbers"):
        stepping(noise=3)
    with pytest.raises(checks.BadArgument, match=r"has no start, .*foreign\.dreamer is for"):
        foreign.recurrent(Steps(), SPEC)


class Predictor(torch.nn.Module):
    """The cart's next position by the last three and the actions between: exact from the third
    step on, since `v_t = 0.9 v_{t-1} + 0.3 a_{t-1}`.
    """

    def forward(self, latents, actions):
        x = latents[:, :, 0]
        speed = 0.9 * (x[:, 2] - x[:, 1]) / 0.2 + 0.3 * actions[:, 1, 0]
        following = torch.stack([x[:, 1], x[:, 2], x[:, 2] + 0.2 * speed], dim=1)
        return following[:, :, None]


def windows(predict=None, **options):
    arguments = {
        "reward": lambda z, a: torch.cos(3 * z[:, 0]),
        "act": lambda z: pushing(z.repeat(1, 2)),
    }
    return foreign.window(
        torch.nn.Identity(), predict or Predictor(), 3, SPEC, **{**arguments, **options}
    )


def test_a_window_holds_the_last_latents_and_actions_and_predicts_the_next():
    inside = of_cart(windows(), episodes=4)
    states, actions = np.asarray(inside.episodes.state), np.asarray(inside.episodes.action)
    assert states.shape[-1] == 5
    np.testing.assert_array_equal(states[:, 0, :3], np.repeat(states[:, 0, :1], 3, axis=1))
    np.testing.assert_array_equal(states[:, 0, 3:], 0)
    np.testing.assert_allclose(states[:, 3:, 0], states[:, 1:-2, 2])
    np.testing.assert_allclose(states[:, 2:, 3:], np.concatenate(
        [actions[:, :-2], actions[:, 1:-1]], axis=2))  # fmt: skip
    key = jax.random.key(0)
    predict = jax.vmap(jax.vmap(lambda s, a: inside.world.dynamics(s, a, key)))
    predicted = predict(states, actions)
    np.testing.assert_allclose(predicted[:, 2:], inside.episodes.next_state[:, 2:], atol=1e-5)


def of_step(z, a, z_after, bonus=0.0):
    """What the cart pays after a step, whose speed is that of the step and what was pushed."""
    speed = 0.9 * (z_after[:, 0] - z[:, 0]) / 0.2 + 0.3 * a[:, 0]
    return torch.cos(3 * z_after[:, 0]) - speed + bonus


def of_step_before(z, a, z_after):
    return torch.cos(3 * z[:, 0]) - (z_after[:, 0] - z[:, 0]) / 0.2


WINDOW_FAULTS = {
    "nothing": ({}, False, []),
    "late reward": ({"reward": of_step_before}, False, ["reward timing"]),
    "reward + 1": ({"reward": lambda *step: of_step(*step, bonus=1.0)}, False, ["reward offset"]),
    "no end rule": ({}, True, ["missed terminations"]),
}


@pytest.mark.parametrize("fault", WINDOW_FAULTS)
def test_faults_of_a_model_of_windows_are_named(fault):
    options, ends, named = WINDOW_FAULTS[fault]
    model = windows(**{"reward": of_step, "reward_of": "s,a,s'", **options})
    inside = of_cart(model, ends)
    diagnosis = paracosm.audit(
        inside.world, inside.policy, inside.episodes, certify=False, dimensions=False
    )
    assert [finding.kind for finding in diagnosis.findings] == named


def test_actions_of_a_finite_set_are_one_hot_in_a_window():
    action_batches = []

    def predict(latents, actions):
        action_batches.append(actions)
        return latents[:, -1]

    spec = dataclasses.replace(SPEC, action=Discrete(3, start=2))
    model = foreign.window(
        torch.nn.Identity(), predict, 2, spec,
        reward=lambda z, a: z[:, 0], act=lambda z: torch.cat([z, 2 * z, -z], dim=1),
    )  # fmt: skip
    assert action_batches[-1].shape == (7, 2, 3)
    np.testing.assert_array_equal(action_batches[-1][:, -1], [[1, 0, 0]] * 7)
    np.testing.assert_array_equal(
        model.policy(np.array([[0, 1, 0, 0, 0], [0, -1, 0, 0, 0]], np.float32)), [1, 2]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"predict": 3},
            "the predict of paracosm.foreign.window is 3; a module or a function is needed",
        ),
        ({"predict": lambda z, a: z[:, -1, :0]}, "next failed with|keeps its shape"),
        ({"predict": lambda z, a: z[:1, -1]}, "failed with|batch"),
    ],
)
def test_a_window_model_that_does_not_fit_is_refused(options, message):
    with pytest.raises(checks.ParacosmError, match=message):
        windows(**options)
