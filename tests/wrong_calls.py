"""Wrong calls of the public verbs and types: what is called, the error, and a part of its sentence.

`python -m tests.wrong_calls` makes them without the type checker of the test run and prints what
each raised, as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import tempfile
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch

import paracosm
from paracosm import foreign
from paracosm.core.mdp import never
from paracosm.core.networks import MLP
from paracosm.core.records import PartFit
from paracosm.planning.fidelity import Power

ARGUMENT, DATA, MISSING, UNSUPPORTED = "BadArgument", "BadData", "Missing", "Unsupported"
NAN, INF = math.nan, math.inf

# One tiny world, with data, a policy and episodes; nothing of it is compiled.
BOX = paracosm.Box(-jnp.ones(1), jnp.ones(1))
SPEC = paracosm.Spec(2, BOX, jnp.ones(2), 5)
WORLD = paracosm.MDP(
    spec=SPEC,
    dynamics=lambda s, a, key: s,
    reward=lambda s, a, t: s[0],
    termination=never,
    initial=lambda key: jnp.zeros(2),
    discount=0.9,
)
NETWORK = MLP(2, 1, 4, 1, jax.random.key(0))
POLICY = paracosm.Gaussian(NETWORK, jnp.zeros(1), BOX, True)
FIT = PartFit("reward", "learned", 0, 0, None, (), None, "", (), ())
LEARNED = paracosm.Learned(WORLD, {"reward": FIT})


def episodes_of(size: int = 2, episodes: int = 3, steps: int = 5, **columns) -> paracosm.Trajectory:
    """Episodes of zeros, with some columns replaced."""
    state, flag = np.zeros((episodes, steps, size), np.float32), np.zeros((episodes, steps), bool)
    cut = np.arange(steps) == np.full((episodes, 1), steps - 1)
    defaults = {
        "state": state,
        "action": np.zeros((episodes, steps, 1), np.float32),
        "next_state": state,
        "reward": np.zeros((episodes, steps), np.float32),
        "terminated": flag,
        "truncated": cut,
        "alive": ~flag,
    }
    return paracosm.Trajectory(**{**defaults, **columns})


EPISODES = episodes_of()
DATA_SET = paracosm.Dataset.from_trajectory(EPISODES)
EMPTY = paracosm.Dataset(
    **{
        field.name: getattr(DATA_SET, field.name)[:0]
        for field in dataclasses.fields(paracosm.Dataset)
    }
)

TENSOR = torch.zeros(3)


class Remembering(torch.nn.Module):
    """A recurrent model by its methods."""

    start = observe = next = reward = act = print


class Encoding(torch.nn.Module):
    """A latent model by its methods."""

    encode = next = reward = pi = print


class Functional:
    """An environment of functions, as gymnax's."""

    reset = step = print


def curve(
    part: str = "dynamics", errors=(1.0, 0.7, 0.5, 0.35), sizes=(100, 200, 400, 800)
) -> paracosm.Curve:
    """A learning curve of two seeds."""
    from paracosm.core.records.decisions import Anchor

    anchors = tuple(
        Anchor(n, error * (1 + 0.01 * seed), seed)
        for n, error in zip(sizes, errors, strict=True)
        for seed in range(3)
    )
    return paracosm.Curve(part, anchors, "rms", "held out")


CURVES = {"dynamics": curve(), "reward": curve("reward")}
WEIGHTS = paracosm.Weights(1.0, 1.0, "rms", 0.9, 5, "exact")
PRICES = {"budget": 1000.0, "cost_dynamics": 1.0, "cost_reward": 1.0}
LAW = Power(2.0, 1.0)
MIXTURE = {
    "budget": 100.0,
    "cost_rollout": 1.0,
    "cheap_cost": 1.0,
    "gold_cost": 10.0,
    "cheap_variance": 1.0,
    "gold_variance": 1.0,
    "correlation": 0.9,
    "bias": 0.1,
}

OTHER = paracosm.Gaussian(MLP(3, 1, 4, 1, jax.random.key(0)), jnp.zeros(1), BOX, True)
CHOICE = paracosm.Categorical(MLP(2, 3, 4, 1, jax.random.key(0)))


def learned_of(**parts) -> paracosm.Learned:
    """The tiny world with some parts swapped, as learned."""
    return LEARNED._replace(world=WORLD.replace(**parts))


def source() -> paracosm.MDP:
    """The tiny world as a real environment."""
    return paracosm.connect(WORLD)


def changed(**columns) -> paracosm.Dataset:
    """The data with some columns replaced."""
    return dataclasses.replace(DATA_SET, **columns)


# (call, class of the error, a part of its sentence)
CALLS: list[tuple[Callable[[], object], str, str]] = [
    # Box, Discrete, Spec, Domain, MDP
    (
        lambda: paracosm.Box(5, 5),
        ARGUMENT,
        "low is 5; an array of numbers of shape (action,) is needed",
    ),
    (lambda: paracosm.Box(None, jnp.ones(1)), ARGUMENT, "low is None"),
    (lambda: paracosm.Box(jnp.ones(1), -jnp.ones(1)), ARGUMENT, "no lower bound may be above"),
    (
        lambda: paracosm.Box(jnp.zeros(1), jnp.full(1, NAN)),
        DATA,
        "the upper bound of a Box of actions: nan at component 0",
    ),
    (lambda: paracosm.Box(jnp.zeros(2), jnp.ones(1)), ARGUMENT, "high is an array of shape (1,)"),
    (lambda: paracosm.Box(TENSOR, TENSOR), ARGUMENT, "low is a Tensor of shape (3,)"),
    (lambda: paracosm.Discrete(0), ARGUMENT, "n is 0; it must be at least 1"),
    (lambda: paracosm.Discrete(2.5), ARGUMENT, "n is 2.5; it must be a whole number of at least 1"),
    (lambda: paracosm.Discrete("x"), ARGUMENT, "n is 'x'"),
    (lambda: paracosm.Spec(2, paracosm.Box, jnp.ones(2), 5), ARGUMENT, "action is the class Box"),
    (
        lambda: paracosm.Spec(2, BOX, jnp.ones(3), 5),
        ARGUMENT,
        "state_scale is an array of shape (3,)",
    ),
    (
        lambda: paracosm.Spec(2, BOX, jnp.array([1.0, -1.0]), 5),
        ARGUMENT,
        "every entry must be a positive number",
    ),
    (
        lambda: paracosm.Spec(2, BOX, jnp.ones(2), 0),
        ARGUMENT,
        "horizon is 0; it must be at least 1",
    ),
    (lambda: paracosm.Spec(True, BOX, jnp.ones(2), 5), ARGUMENT, "state_size is True"),
    (lambda: paracosm.Domain(jnp.ones(2), jnp.zeros(2)), ARGUMENT, "no lower bound may be above"),
    (lambda: paracosm.Domain(jnp.full(2, NAN), jnp.ones(2)), ARGUMENT, "holds NaN"),
    (lambda: WORLD.replace(spec=5), ARGUMENT, "spec is 5; a Spec is needed"),
    (
        lambda: WORLD.replace(dynamics=None),
        ARGUMENT,
        "dynamics is None; a function of (state, action, key)",
    ),
    (lambda: WORLD.replace(reward=MLP), ARGUMENT, "reward is the class MLP"),
    (lambda: WORLD.replace(rewards=never), ARGUMENT, "a part to swap is 'rewards'"),
    (lambda: WORLD.replace(discount=1.5), ARGUMENT, "discount is 1.5; it must lie in [0, 1]"),
    (lambda: WORLD.replace(discount=NAN), ARGUMENT, "discount is nan"),
    (
        lambda: WORLD.replace(domain=paracosm.Domain(jnp.zeros(3), jnp.ones(3))),
        DATA,
        "(2,) is needed",
    ),
    # Policies
    (
        lambda: paracosm.Deterministic(5),
        ARGUMENT,
        "function is 5; a function of one state is needed",
    ),
    (lambda: paracosm.Mode(paracosm.Gaussian), ARGUMENT, "policy is the class Gaussian"),
    (lambda: paracosm.Mode(lambda s: s), ARGUMENT, "policy is a function; a Markov policy is"),
    (
        lambda: paracosm.Gaussian(NETWORK, jnp.zeros(2), BOX, True),
        ARGUMENT,
        "log_std is an array of shape (2,)",
    ),
    (
        lambda: paracosm.Gaussian(NETWORK, jnp.zeros(1), paracosm.Discrete(2), True),
        ARGUMENT,
        "space is a Discrete",
    ),
    (lambda: paracosm.Categorical(None), ARGUMENT, "network is None"),
    (lambda: POLICY("x"), ARGUMENT, "observation is 'x'"),
    (
        lambda: POLICY(np.zeros(3)),
        ARGUMENT,
        "observation has shape (3,); an array of numbers [..., 2] is needed",
    ),
    (lambda: POLICY({"goal": np.zeros(2)}), ARGUMENT, "as gymnasium.spaces.utils.flatten makes of"),
    (lambda: POLICY(np.full(2, NAN)), DATA, "the observation: nan at component 0"),
    # Settings
    (
        lambda: paracosm.ImagineSettings(clip=-1),
        ARGUMENT,
        "clip is -1; it must be a positive number",
    ),
    (lambda: paracosm.ImagineSettings(entropy=NAN), ARGUMENT, "entropy is nan"),
    (
        lambda: paracosm.ImagineSettings(rollouts=2.5),
        ARGUMENT,
        "rollouts is 2.5; it must be a whole number",
    ),
    (lambda: paracosm.LearnSettings(margin=INF), ARGUMENT, "margin is inf; it must be finite"),
    (lambda: paracosm.LearnSettings(fit=5), ARGUMENT, "fit is 5; a FitSettings is needed"),
    (lambda: paracosm.noise.GaussianNoise(-1.0), ARGUMENT, "the label noise's sd is -1"),
    (lambda: paracosm.noise.GaussianNoise("x"), ARGUMENT, "the label noise's sd is 'x'"),
    (lambda: paracosm.noise.Flips(0.0, 1.0, 0.7), ARGUMENT, "the probability of a flip is 0.7"),
    # Data
    (lambda: changed(state=DATA_SET.state[:-1]), DATA, "rows"),
    (lambda: changed(next_state=np.zeros((15, 3), np.float32)), DATA, "shape (15, 3)"),
    (lambda: changed(state=np.full((15, 2), NAN, np.float32)), DATA, "states: nan at step 0"),
    (lambda: changed(reward=np.full(15, NAN)), DATA, "the reward label of step 0 is nan"),
    (lambda: DATA_SET.buy(2.5, 1, 0), ARGUMENT, "transitions is 2.5; it must be a whole number"),
    (
        lambda: DATA_SET.buy(99, 1, 0),
        ARGUMENT,
        "transitions is 99; it must be at least 0 and at most 15",
    ),
    (lambda: DATA_SET.buy(1, -1, 0), ARGUMENT, "labels is -1"),
    (lambda: DATA_SET.buy(5, 5, 0).buy(1, 1, 0), ARGUMENT, "was bought from before"),
    (lambda: DATA_SET.join(EPISODES), ARGUMENT, "other is a Trajectory; a Dataset is needed"),
    (
        lambda: DATA_SET.join(paracosm.Dataset.from_trajectory(episodes_of(3))),
        DATA,
        "have the shape (3,); (2,) is needed",
    ),
    (
        lambda: paracosm.Dataset.from_trajectory(DATA_SET),
        ARGUMENT,
        "episodes is a Dataset; a Trajectory, which evaluate gives, is needed",
    ),
    (lambda: episodes_of(state=np.zeros((3, 5, 3))), DATA, "one shape is needed"),
    (
        lambda: episodes_of(reward=np.zeros((3, 4))),
        DATA,
        "the reward of a Trajectory is an array of shape (3, 4)",
    ),
    (lambda: episodes_of(alive=None), DATA, "is None; an array of 2 axes is needed"),
    (lambda: episodes_of(action="x"), DATA, "the action of a Trajectory is 'x'"),
    (
        lambda: paracosm.RewardLabels(
            np.zeros((3, 2)), np.zeros((3, 1)), np.zeros((3, 2)), np.zeros(2)
        ),
        DATA,
        "the state of a RewardLabels is an array of shape (3, 2)",
    ),
    (
        lambda: paracosm.load_data({"x": np.zeros(3)}, columns={"state": 3}),
        ARGUMENT,
        "gives 3 for state; names of columns",
    ),
    # connect, collect, evaluate
    (lambda: paracosm.connect(5), ARGUMENT, "env is 5"),
    (lambda: paracosm.connect(None), ARGUMENT, "env is None"),
    (lambda: paracosm.connect(Functional()), ARGUMENT, "foreign.gymnax(env, params) makes one"),
    (lambda: paracosm.as_env(3), ARGUMENT, "world is 3; an MDP"),
    (lambda: paracosm.POMDP(5, len), ARGUMENT, "mdp is 5; an MDP is needed"),
    (lambda: paracosm.POMDP(WORLD, 5), ARGUMENT, "show is 5; a function of one state"),
    (lambda: paracosm.connect("NoSuch-v1"), MISSING, "NoSuch-v1"),
    (lambda: paracosm.connect(""), MISSING, "''"),
    (lambda: paracosm.connect(WORLD, horizon=0), ARGUMENT, "horizon is 0"),
    (
        lambda: paracosm.connect(WORLD, horizon=2.5),
        ARGUMENT,
        "horizon is 2.5; it must be a whole number",
    ),
    (lambda: paracosm.connect(dict), UNSUPPORTED, "dict"),
    (lambda: paracosm.connect("CartPole-v1", 5), ARGUMENT, "kwargs is 5"),
    (lambda: paracosm.connect(WORLD, {"g": 1}), ARGUMENT, "kwargs is {'g': 1} and env is an MDP"),
    (lambda: paracosm.connect(print, {"g": 1}), ARGUMENT, "kwargs is {'g': 1} and env is a"),
    (
        lambda: paracosm.collect(WORLD, 2.5, seed=0),
        ARGUMENT,
        "steps is 2.5; it must be a whole number",
    ),
    (lambda: paracosm.collect(WORLD, 0, seed=0), ARGUMENT, "steps is 0"),
    (lambda: paracosm.collect(WORLD, 10**20, seed=0), ARGUMENT, "steps is an integer of 21 digits"),
    (lambda: paracosm.collect(WORLD, 5, seed=-1), ARGUMENT, "seed is -1"),
    (lambda: paracosm.collect(WORLD, 5, seed=None), ARGUMENT, "seed is None"),
    (lambda: paracosm.collect(WORLD, 5, seed=0, policy="x"), ARGUMENT, "policy is 'x'"),
    (
        lambda: paracosm.collect(WORLD, 5, seed=0, policy=paracosm.Gaussian),
        ARGUMENT,
        "policy is the class Gaussian",
    ),
    (lambda: paracosm.evaluate(WORLD, None), ARGUMENT, "policy is None"),
    (lambda: paracosm.evaluate(WORLD, OTHER), DATA, "the policy's action cannot be had"),
    (lambda: paracosm.evaluate(WORLD, POLICY, episodes=0), ARGUMENT, "episodes is 0"),
    (
        lambda: paracosm.evaluate(WORLD, POLICY, first_seed=2**32),
        ARGUMENT,
        "first_seed is 4294967296",
    ),
    (lambda: paracosm.evaluate(POLICY, WORLD), ARGUMENT, "env is a Gaussian"),
    (
        lambda: source().spec(DATA_SET.state),
        ARGUMENT,
        "data is an array of shape (15, 2); a Dataset",
    ),
    (lambda: source().spec(EMPTY), DATA, "no row of the data was bought"),
    # learn
    (lambda: paracosm.learn(None, SPEC), ARGUMENT, "data is None; a Dataset"),
    (lambda: paracosm.learn(SPEC, DATA_SET), ARGUMENT, "data is a Spec"),
    (lambda: paracosm.learn(DATA_SET, 5), ARGUMENT, "spec is 5; a Spec"),
    (lambda: paracosm.learn(EMPTY, SPEC), DATA, "the data hold 0 transitions"),
    (
        lambda: paracosm.learn(paracosm.Dataset.from_trajectory(episodes_of(3)), SPEC),
        DATA,
        "have 3 components",
    ),
    (
        lambda: paracosm.learn(DATA_SET, SPEC, discount=1.5),
        ARGUMENT,
        "discount is 1.5; it must lie in [0, 1]",
    ),
    (lambda: paracosm.learn(DATA_SET, SPEC, reward=5), ARGUMENT, "reward is 5; a function"),
    (
        lambda: paracosm.learn(DATA_SET, SPEC, parts={"rewards": NETWORK}),
        ARGUMENT,
        "a part to learn is 'rewards'",
    ),
    (
        lambda: paracosm.learn(DATA_SET, SPEC, parts={"reward": NETWORK}),
        ARGUMENT,
        "a PartLearner is needed",
    ),
    (lambda: paracosm.run("Pendulum-v1", tracker=5), ARGUMENT, "tracker is 5; a Tracker"),
    (lambda: paracosm.connect(WORLD, encoder=5), ARGUMENT, "encoder is 5; an Encoder"),
    (lambda: paracosm.collect(WORLD, 5, seed=0, encoder=5), ARGUMENT, "encoder is 5; an Encoder"),
    (lambda: paracosm.evaluate(WORLD, POLICY, encoder=5), ARGUMENT, "encoder is 5; an Encoder"),
    (
        lambda: source().through(paracosm.Window(2)).through(paracosm.Window(2)),
        ARGUMENT,
        "is seen through an encoder already; one without is needed",
    ),
    (lambda: source().through(5), ARGUMENT, "encoder is 5; an Encoder is needed"),
    (lambda: paracosm.encode(5, EPISODES), ARGUMENT, "encoder is 5; an Encoder is needed"),
    (lambda: paracosm.encode(paracosm.Window(2), 5), ARGUMENT, "episodes is 5; a Trajectory"),
    (
        lambda: paracosm.learn(DATA_SET, SPEC, settings=paracosm.LearnSettings),
        ARGUMENT,
        "the class LearnSettings",
    ),
    (lambda: paracosm.learn(DATA_SET, SPEC, seed=1.5), ARGUMENT, "seed is 1.5"),
    (lambda: paracosm.learn(DATA_SET, SPEC, label_noise=0.1), ARGUMENT, "label_noise is 0.1"),
    # imagine
    (lambda: paracosm.imagine(WORLD, DATA_SET), ARGUMENT, "learned is an MDP; what learn gives"),
    (lambda: paracosm.imagine(LEARNED, None), ARGUMENT, "data is None; the Dataset"),
    (lambda: paracosm.imagine(DATA_SET, LEARNED), ARGUMENT, "learned is a Dataset"),
    (lambda: paracosm.imagine(LEARNED, DATA_SET, keep="first"), ARGUMENT, "keep is 'first'"),
    (lambda: paracosm.imagine(LEARNED, EMPTY), DATA, "the data hold no reward labels"),
    (lambda: paracosm.imagine(LEARNED, DATA_SET.buy(0, 9, 0)), DATA, "there are no visited states"),
    (
        lambda: paracosm.imagine(LEARNED, paracosm.Dataset.from_trajectory(episodes_of(3))),
        DATA,
        "have 3 components",
    ),
    (
        lambda: paracosm.imagine(LEARNED, DATA_SET, policy=5),
        ARGUMENT,
        "policy is 5; a policy with a density",
    ),
    (
        lambda: paracosm.imagine(LEARNED, DATA_SET, policy=paracosm.Mode(POLICY)),
        ARGUMENT,
        "policy is a Mode",
    ),
    (
        lambda: paracosm.imagine(LEARNED, DATA_SET, gold_share=2, label_source=never),
        ARGUMENT,
        "gold_share is 2",
    ),
    (
        lambda: paracosm.imagine(LEARNED, DATA_SET, label_source="x"),
        ARGUMENT,
        "label_source is 'x'",
    ),
    (
        lambda: paracosm.imagine(LEARNED, DATA_SET, settings=5),
        ARGUMENT,
        "settings is 5; an ImagineSettings",
    ),
    (lambda: paracosm.imagine(LEARNED, DATA_SET, learner=5), ARGUMENT, "learner is 5; a Learner"),
    (lambda: paracosm.imagine(LEARNED, DATA_SET, seed="x"), ARGUMENT, "seed is 'x'"),
    (
        lambda: paracosm.imagine(LEARNED, DATA_SET, policy=OTHER),
        DATA,
        "the policy's action cannot be had",
    ),
    (
        lambda: paracosm.imagine(LEARNED, DATA_SET, policy=CHOICE),
        DATA,
        "the policy's action has the shape ()",
    ),
    (
        lambda: paracosm.imagine(learned_of(reward=lambda s, a: s[0]), DATA_SET),
        DATA,
        "the world's reward cannot",
    ),
    (
        lambda: paracosm.imagine(learned_of(termination=lambda s, a, t: s[0]), DATA_SET),
        DATA,
        "bool is needed",
    ),
    # audit
    (lambda: paracosm.audit(5, POLICY, EPISODES), ARGUMENT, "the world is a int"),
    (lambda: paracosm.audit(WORLD, 5, EPISODES), ARGUMENT, "the policy is a int"),
    (lambda: paracosm.audit(WORLD, POLICY, None), ARGUMENT, "episodes is None; a Trajectory"),
    (
        lambda: paracosm.audit(WORLD, POLICY, DATA_SET),
        ARGUMENT,
        "episodes is a Dataset; a Trajectory",
    ),
    (lambda: paracosm.audit(WORLD, POLICY, EPISODES, WORLD), ARGUMENT, "imagined is an MDP"),
    (lambda: paracosm.audit(WORLD, POLICY, episodes_of(3)), DATA, "have 3 components"),
    (lambda: paracosm.audit(WORLD, POLICY, episodes_of(episodes=0)), DATA, "no steps"),
    (lambda: paracosm.audit(WORLD, POLICY, EPISODES, seed=-1), ARGUMENT, "seed is -1"),
    (lambda: paracosm.audit(WORLD, OTHER, EPISODES), DATA, "the policy's action"),
    (lambda: paracosm.audit(WORLD, CHOICE, EPISODES), DATA, "the policy's action has the shape ()"),
    (
        lambda: paracosm.audit(WORLD.replace(reward=lambda s, a: s[0]), POLICY, EPISODES),
        DATA,
        "the world's reward",
    ),
    (
        lambda: paracosm.audit(WORLD, POLICY, episodes_of(reward=np.full((3, 5), NAN))),
        DATA,
        "the recorded reward",
    ),
    # plans
    (lambda: paracosm.plan(None, WEIGHTS, **PRICES), ARGUMENT, "curves is None"),
    (lambda: paracosm.plan(CURVES, 5, **PRICES), ARGUMENT, "weights is 5"),
    (lambda: paracosm.plan(CURVES, [], **PRICES), ARGUMENT, "no weights are given"),
    (
        lambda: paracosm.plan(CURVES, WEIGHTS, **{**PRICES, "budget": -1}),
        ARGUMENT,
        "the budget is -1",
    ),
    (
        lambda: paracosm.plan(CURVES, WEIGHTS, **{**PRICES, "cost_reward": NAN}),
        ARGUMENT,
        "the cost of reward is nan",
    ),
    (
        lambda: paracosm.plan({"dynamics": curve()}, WEIGHTS, **PRICES),
        DATA,
        "no learning curve of reward",
    ),
    (lambda: paracosm.plan_labels(5, budget=10.0), ARGUMENT, "fidelity is 5"),
    (lambda: paracosm.plan_labels(LAW, budget=INF), ARGUMENT, "the budget is inf"),
    (lambda: paracosm.plan_labels(LAW, budget="x"), ARGUMENT, "the budget is 'x'"),
    (
        lambda: paracosm.plan_mixture(**{**MIXTURE, "correlation": 2.0}),
        ARGUMENT,
        "the correlation is 2",
    ),
    (
        lambda: paracosm.plan_mixture(**{**MIXTURE, "bias": None}),
        ARGUMENT,
        "the bias of cheap labels is None",
    ),
    # calibrate
    (lambda: paracosm.calibrate(5, POLICY, EPISODES), ARGUMENT, "the world is a int"),
    (lambda: paracosm.calibrate(WORLD, 5, EPISODES), ARGUMENT, "the policy is a int"),
    (lambda: paracosm.calibrate(WORLD, POLICY, None), ARGUMENT, "episodes is None; a Trajectory"),
    (lambda: paracosm.calibrate(WORLD, POLICY, episodes_of(3)), DATA, "have 3 components"),
    (lambda: paracosm.calibrate(WORLD, POLICY, EPISODES, discount=2), ARGUMENT, "discount is 2"),
    (lambda: paracosm.calibrate(WORLD, POLICY, EPISODES, seed=-1), ARGUMENT, "seed is -1"),
    (
        lambda: paracosm.calibrate(
            WORLD.replace(dynamics=lambda s, a, key: s[0]), POLICY, EPISODES
        ),
        DATA,
        "the world's dynamics has the shape ()",
    ),
    # run, load, compare, report, audit_foreign
    (lambda: paracosm.run(5), ARGUMENT, "--env is 5"),
    (lambda: paracosm.run("CartPole-v1", transitions="5"), ARGUMENT, "--transitions is '5'"),
    (lambda: paracosm.run("CartPole-v1", noise=INF), ARGUMENT, "--noise is inf"),
    (lambda: paracosm.run("CartPole-v1", imagine_settings=5), ARGUMENT, "imagine_settings is 5"),
    (lambda: paracosm.run("CartPole-v1", learn_settings=[]), ARGUMENT, "learn_settings is []"),
    (lambda: paracosm.run("CartPole-v1", steps=5), ARGUMENT, "steps"),
    (lambda: paracosm.load("nowhere"), MISSING, "nowhere is no run"),
    (paracosm.compare, ARGUMENT, "at least two"),
    (lambda: paracosm.compare("here"), ARGUMENT, "at least two"),
    (paracosm.rank_runs, ARGUMENT, "no run is given"),
    (lambda: paracosm.rank_runs("nowhere"), MISSING, "nowhere is no run"),
    (paracosm.indicators, ARGUMENT, "no training is given"),
    (lambda: paracosm.indicators("nowhere"), MISSING, "there is no folder nowhere"),
    (lambda: paracosm.indicators(5), ARGUMENT, "training 1 is 5"),
    (lambda: paracosm.indicators([]), ARGUMENT, "training 1 has no audit"),
    (lambda: paracosm.indicators([WORLD]), ARGUMENT, "checkpoint 1 of training 1 is"),
    (lambda: paracosm.rank({}, WORLD, WORLD), ARGUMENT, "0 policies are given"),
    (lambda: paracosm.rank({"a": 5}, WORLD, WORLD), ARGUMENT, "the policy a is 5"),
    (lambda: paracosm.rank([POLICY], WORLD, WORLD), ARGUMENT, "policies is"),
    (lambda: paracosm.audit_foreign(5, lambda: POLICY, env="CartPole-v1"), ARGUMENT, "world"),
    (lambda: paracosm.audit_foreign(lambda: WORLD, lambda: POLICY), ARGUMENT, "neither"),
    # foreign
    (
        lambda: foreign.world(None, dynamics=len, reward=len),
        ARGUMENT,
        "spec is None; a Spec, which",
    ),
    (
        lambda: foreign.world(SPEC, dynamics=max, reward=max, reward_of=5),
        ARGUMENT,
        "what a part takes is 5; a text such as 's,a'",
    ),
    (lambda: foreign.policy(abs, None), ARGUMENT, "spec is None"),
    (lambda: foreign.recurrent(Remembering(), None), ARGUMENT, "spec is None"),
    (lambda: foreign.window(abs, max, 2, None, reward=max, act=abs), ARGUMENT, "spec is None"),
    (lambda: foreign.mbrl(None, None), ARGUMENT, "spec is None"),
    (lambda: foreign.goal(abs, max, [0, 0], None, policy=len), ARGUMENT, "spec is None"),
    (lambda: foreign.latent(Encoding(), None), ARGUMENT, "spec is None"),
    (lambda: foreign.spec(np.zeros(3)), ARGUMENT, "recorded is an array of shape (3,)"),
    (lambda: foreign.trajectory(None), ARGUMENT, "data is None; a Dataset is needed"),
]


def outcome(call: Callable[[], object]) -> tuple[list[str], str]:
    """The classes of what a call raised, the nearest first, and its text."""
    try:
        result = call()
    except Exception as error:
        return [kind.__name__ for kind in type(error).__mro__], str(error)
    return [], f"no error but a {type(result).__name__}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        import os

        os.chdir(folder)
        outcomes = [outcome(call) for call, _, _ in CALLS]
        left = os.listdir(folder)
    json.dump({"outcomes": outcomes, "left": left}, sys.stdout)
