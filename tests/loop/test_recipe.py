"""The README's recipe and `paracosm run` are the same job: same seed, same policy to the
last bit.
"""

import jax
import numpy as np
import pytest

import paracosm
from paracosm.core import checks
from paracosm.imagination.caution import EndAtEdge
from paracosm.imagination.imagine import problem_of
from paracosm.loop import store
from tests.loop.small import IMAGINE, LEARN, known_reward, small_run


@pytest.mark.parametrize(
    ("env", "transitions", "labels", "reward"),
    [
        (
            "Pendulum-v1",
            120,
            200,
            None,
        ),  # rows without a bought transition, whose state counts for the scale
        pytest.param("CartPole-v1", 150, 60, None, marks=pytest.mark.full),
        # The worst reward is not that of the labels.
        pytest.param(
            "Pendulum-v1", 150, 30, "tests.loop.small:known_reward", marks=pytest.mark.full
        ),
    ],
)
def test_the_recipe_and_a_run_of_the_same_seed_give_the_same_policy(
    env, transitions, labels, reward, tmp_path
):
    def stop(name, done, total, word=""):
        if name == "evaluate":
            raise KeyboardInterrupt

    counts = {"transitions": transitions, "reward_labels": labels}
    with pytest.raises(KeyboardInterrupt):
        small_run(tmp_path / "run", env, **counts, reward=reward, seed=3, progress=stop)

    source = paracosm.connect(env)
    data = paracosm.collect(source, max(transitions, labels), seed=3).buy(
        transitions=transitions, labels=labels, seed=3
    )
    known = None if reward is None else known_reward
    learned = paracosm.learn(data, source.spec(data), seed=3, settings=LEARN, reward=known)
    imagined = paracosm.imagine(learned, data, seed=3, settings=IMAGINE)

    def problem():
        options = {"settings": IMAGINE, "seed": 3, "round": 0, "caution": EndAtEdge()}
        return problem_of(learned, data, **options)

    file = tmp_path / "run/models/policy-0"
    by_run = store.load_imagined(file, learned.world, problem).policy
    for ours, theirs in zip(jax.tree.leaves(imagined.policy), jax.tree.leaves(by_run), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (
        learned.worst_reward(data)
        == store.header(store.ImaginedHeader, tmp_path / "run/models/policy-0").worst_reward
    )


def test_what_was_not_bought_does_not_count():
    source = paracosm.connect("Pendulum-v1")
    steps = paracosm.collect(source, 300, seed=0)
    data = steps.buy(transitions=40, labels=20, seed=0)
    assert not np.array_equal(source.spec(data).state_scale, source.spec(steps).state_scale)
    np.testing.assert_allclose(
        source.spec(data).state_scale, data.bought_states.std(axis=0), rtol=1e-5
    )
    with pytest.raises(checks.BadData, match="no row of the data was bought"):
        source.spec(steps.buy(transitions=0, labels=0, seed=0))
