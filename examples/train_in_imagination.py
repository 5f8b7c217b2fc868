# %% [markdown]
# # From an environment of your own to a policy trained in imagination
#
# The steps of `paracosm run --learner reinforce` one by one, each a function of plain values, with
# a look at what the learned world imagines.

# %%
import gymnasium
import numpy as np
from matplotlib import pyplot as plt

import paracosm

# %% [markdown]
# ## The environment
#
# A cart on a rail that a spring pulls back: hold it at 1.


# %%
class Cart(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-1, 1, 2)
        return self.state.astype(np.float32), {}

    def step(self, action):
        position, speed = self.state
        force = 2 * float(np.clip(action[0], -1, 1)) - position - 0.2 * speed
        self.state = np.array([position + 0.1 * speed, speed + 0.1 * force])
        reward = -((self.state[0] - 1) ** 2)
        return self.state.astype(np.float32), float(reward), False, False, {}


env = paracosm.connect(gymnasium.wrappers.TimeLimit(Cart(), 60))

# %% [markdown]
# ## Data, a world, a policy
#
# Real steps of random actions; dynamics and reward learned from them; a policy that sees imagined
# steps only; real episodes of that policy.

# %%
data = paracosm.collect(env, 600, seed=0)
learned = paracosm.learn(data, env.spec(data))
settings = paracosm.ImagineSettings(rollouts=128, most_steps=200)
imagined = paracosm.imagine(learned, data, settings=settings)
episodes = paracosm.evaluate(env, imagined.policy, episodes=10)

# %% [markdown]
# ## How far off is the imagined return, and why?

# %%
diagnosis = paracosm.audit(learned.world, imagined.policy, episodes, imagined)
print(diagnosis.verdict)

# %% [markdown]
# One episode, real and imagined from the same start:

# %%
overlay = diagnosis.overlays[0]
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.plot(np.asarray(overlay.real)[:, 0], label="real")
axes.plot(np.asarray(overlay.imagined)[:, 0], linestyle="--", label="imagined")
axes.axhline(1, color="gray", linewidth=0.5)
axes.set_xlabel("step")
axes.set_ylabel("position")
axes.legend()
figure.savefig("episode.png")

# %% [markdown]
# ## What the imagined return would be with the true reward
#
# A world is a record of parts, and each can be swapped.


# %%
def true_reward(state, action, next_state):
    return -((next_state[0] - 1) ** 2)


corrected = learned.world.replace(reward=true_reward)
again = paracosm.audit(corrected, imagined.policy, episodes, certify=False)
print(f"real minus imagined return: {diagnosis.gap.total}")
print(f"with the true reward: {again.gap.total}")
