"""A learner of one's own: cross-entropy search over the parameters of a policy.

paracosm run Pendulum-v1 --learner my_module:make_learner
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from paracosm.core.learner import Learner
from paracosm.core.policy import Mode, initial_policy
from paracosm.core.predicted import Bootstrapped


def searched(policy):
    return policy.network.weights, policy.network.biases


class CrossEntropy(Learner):
    """Draws candidates about a mean, and goes to the mean of the best of them."""

    candidates: int = eqx.field(static=True, default=64)
    best: int = eqx.field(static=True, default=8)
    rollouts: int = eqx.field(static=True, default=8)

    def init(self, problem, key):
        policy = initial_policy(problem.world.spec, key, width=8, depth=1)
        mean = ravel_pytree(searched(policy))[0]
        return {"policy": policy, "mean": mean, "spread": 0.5 * jnp.ones_like(mean)}

    def step(self, state, problem, key):
        for_noise, for_starts, for_play = jax.random.split(key, 3)
        noise = jax.random.normal(for_noise, (self.candidates, len(state["mean"])))
        parameters = state["mean"] + state["spread"] * noise
        start = problem.starts.draw(jax.random.split(for_starts, self.rollouts), 0.5)

        def score(candidate):
            candidate = {**state, "mean": candidate}
            return jnp.mean(self.predicted_return(candidate, problem, start, for_play))

        scores = jax.lax.map(score, parameters)
        best = parameters[jax.lax.top_k(scores, self.best)[1]]
        state = {**state, "mean": best.mean(axis=0), "spread": best.std(axis=0) + 0.01}
        return state, {
            "imagined_steps": jnp.asarray(self.candidates * self.rollouts * problem.horizon),
            "best_score": scores.max(),
        }

    def policy(self, state):
        parameters = ravel_pytree(searched(state["policy"]))[1](state["mean"])
        return eqx.tree_at(searched, state["policy"], parameters)

    def predicted_return(self, state, problem, start, key):
        predict = Bootstrapped(problem.training_world, problem.horizon)
        return predict(Mode(self.policy(state)), start, key)


def make_learner(settings):
    return CrossEntropy()
