"""What a policy carries keeps its form: one sentence before anything is played."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from paracosm.core import checks
from paracosm.core.carrying import require_carry
from paracosm.core.policy import Policy
from paracosm.imagination.planners import Planner
from paracosm.loop.auditing import audit
from paracosm.real.systems import pendulum
from paracosm.real.verbs import connect


class Carries(Policy):
    """Its first carry and its step are given by subclasses."""

    def initial(self):
        return jnp.zeros(1)

    def act(self, carry, state, key):
        return jnp.clip(-state[1:2], -2, 2), carry

    def greedy(self):
        return self


class ForgotInitial(Carries):
    def initial(self):
        return None

    def act(self, carry, state, key):
        return state[1:2], state


class InNumpy(Carries):
    def initial(self):
        return np.zeros((3, 3), np.float32)

    def act(self, carry, state, key):
        frames = np.concatenate([carry[1:], np.asarray(state)[None]])
        return frames[-1, 1:2], frames


class InTorch(Carries):
    def initial(self):
        return torch.zeros(1, 8)


class Grows(Carries):
    def initial(self):
        return {"frames": jnp.zeros((1, 3))}

    def act(self, carry, state, key):
        return state[1:2], {"frames": jnp.concatenate([carry["frames"], state[None]])}


class ChangesType(Carries):
    def initial(self):
        return 0

    def act(self, carry, state, key):
        return state[1:2], 0.5 * carry + state[0]


class ActionAlone(Carries):
    def act(self, carry, state, key):
        return state[1:2]


class Fails(Carries):
    def act(self, carry, state, key):
        raise KeyError("speed")


class FailsAtFirst(Carries):
    def initial(self):
        raise RuntimeError("no plan yet. Sorry")


WRONG = {
    ForgotInitial: r"the initial\(\) of the policy ForgotInitial gives the carry None and its act"
    r" hands on float32\[3\]; a carry keeps its structure, shapes and types",
    InNumpy: r"the act of the policy InNumpy asks for numbers while JAX compiles it, .* jax\.numpy",
    InTorch: r"the initial\(\) of the policy InTorch gives a carry that holds a Tensor of shape"
    r" \(1, 8\); arrays of JAX or NumPy",
    Grows: r"the carry of the policy Grows changes its shape at \['frames'\] from \(1, 3\) to"
    r" \(2, 3\)",
    ChangesType: r"the carry of the policy ChangesType changes its type from int32 to float32",
    ActionAlone: r"the act of the policy ActionAlone gives no tuple; a pair, the action and",
    Fails: r"the act of the policy Fails fails with KeyError: 'speed'\.",
    FailsAtFirst: r"the initial\(\) of the policy FailsAtFirst fails with RuntimeError: no plan",
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_carry_that_changes_its_form_is_refused_before_a_step(kind):
    source = connect(pendulum(), horizon=5)
    for play in (
        lambda: source.evaluate(kind(), episodes=1),
        lambda: source.collect(5, seed=0, policy=kind()),
    ):
        with pytest.raises(checks.BadArgument, match=WRONG[kind]) as caught:
            play()
        assert str(caught.value).count(". ") == 0


def test_carries_that_keep_their_form_are_taken():
    class Counts(Carries):
        def initial(self):
            return np.zeros((3, 3)), 0, None

        def act(self, carry, state, key):
            return state[1:2], (jnp.roll(carry[0], 1, axis=0), carry[1] + 1, None)

    require_carry(Counts(), (3,), np.float64)


def test_a_planner_whose_plan_changes_its_shape_is_told_so():
    class FirstStep(Planner):
        imagined_steps = 1

        def improve(self, plan, state, key):
            return plan[0], jnp.zeros(1), jnp.zeros(1)

    system = pendulum()
    with pytest.raises(
        checks.BadArgument,
        match=r"the improve of the planner FirstStep gives a plan of the shape \(1,\); that of the"
        r" plan it was given, \(4, 1\), is needed",
    ):
        connect(system, horizon=5).evaluate(FirstStep(system, steps=4), episodes=1)


class Mixes(Carries):
    """Its carry of 32 bits meets states of 64, where JAX has both."""

    def initial(self):
        return jnp.zeros(1, jnp.float32)

    def act(self, carry, state, key):
        return jnp.clip(state[1:2] + carry, -2, 2), 0.8 * carry + 0.1 * state[:1]


def test_a_carry_of_32_bits_is_played_among_states_of_64():
    source = connect(pendulum(), horizon=5)
    in_32 = source.evaluate(Mixes(), episodes=2)
    with jax.enable_x64(True):
        in_64 = connect(pendulum(), horizon=5).evaluate(Mixes(), episodes=2)
        source.collect(5, seed=0, policy=Mixes())
        gap = audit(pendulum(), Mixes(), in_64, certify=False, dimensions=False).gap
    assert np.isfinite(gap.total.mean)
    assert np.isfinite(np.asarray(in_32.state)).all()
    assert in_64.state.dtype == np.float64
