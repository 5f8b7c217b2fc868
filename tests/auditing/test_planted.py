"""Where the truth is known: scarce labels make the reward model the culprit, scarce transitions the
dynamics model.
"""

import jax
import pytest

from paracosm.auditing.verdict import culprit
from paracosm.core.records import LEARNED_CAUSES
from paracosm.imagination.imagine import imagine
from paracosm.learning.learn import learn
from paracosm.learning.settings import FitSettings, LearnSettings
from paracosm.loop.auditing import audit
from paracosm.real.systems import lipschitz_synthetic
from paracosm.real.verbs import collect, evaluate
from paracosm.reporting.diagnosis_words import CAUSES

# The pendulum will not do: its dynamics are learned from 300 transitions better than its reward
# from 5,000 labels.
SMOOTH, FIXED = lipschitz_synthetic(jax.random.key(0), dynamics=0.95, discount=0.95)
scarce_parts = pytest.mark.parametrize(
    ("transitions", "labels", "part"),
    [(5000, 100, "reward"), (300, 5000, "dynamics")],
)


# A fault is found by the data, not by the model's size: a small model is enough to have one.
SMALL = LearnSettings(fit=FitSettings(members=2, width=32))


def world_of(system, transitions, labels, settings=None):
    data = collect(system, 5000, seed=0).buy(transitions, labels, seed=0)
    options = {} if settings is None else {"settings": settings}
    return data, learn(data, system.spec, seed=0, discount=system.discount, **options)


@pytest.mark.full
@scarce_parts
def test_the_scarce_part_is_named_for_a_fixed_policy(transitions, labels, part):
    world = world_of(SMOOTH, transitions, labels, SMALL)[1].world
    diagnosis = audit(world, FIXED, evaluate(SMOOTH, FIXED, episodes=30), certify=False)
    assert culprit(diagnosis.gap) == culprit(diagnosis.gap_training) == part
    assert CAUSES[part] in diagnosis.verdict


@pytest.mark.full
@scarce_parts
def test_the_scarce_part_is_named_for_a_policy_trained_in_imagination(transitions, labels, part):
    """Of the gap of what training believed: the edge of the data, a matter of training, may weigh
    more there. The gap of whole episodes is another, and here of 0.4%: its verdict names the part
    that is the largest in it.
    """
    data, learned = world_of(SMOOTH, transitions, labels)
    imagined = imagine(learned, data, seed=0)
    diagnosis = audit(
        learned.world,
        imagined.policy,
        evaluate(SMOOTH, imagined.policy, episodes=50),
        imagined,
        certify=False,
    )
    assert culprit(diagnosis.gap_training, LEARNED_CAUSES) == part
    assert CAUSES[part] in diagnosis.verdict_training
    assert CAUSES[culprit(diagnosis.gap, LEARNED_CAUSES)] in diagnosis.verdict
