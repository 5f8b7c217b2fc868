# %% [markdown]
# # Audit a world model in PyTorch
#
# A network that somebody has trained by hand predicts the next state of a pendulum; its reward is
# known. How far is the return that it promises from the real one, and why?
#
# Needed besides Paracosm: `pip install 'paracosm[torch]'`.

# %%
import numpy as np
import torch

import paracosm
from paracosm import foreign

env = paracosm.connect("Pendulum-v1")
data = paracosm.collect(env, 2000, seed=0)
spec = env.spec(data)
print(f"{len(data.state)} real steps, {data.state.shape[1]} numbers a state")

# %% [markdown]
# ## A model, trained as people train them
#
# The network predicts how the state changes, in units of its spread. Its training is stopped early,
# so that there is something to find.

# %%
torch.manual_seed(0)
state, action, after = (
    torch.tensor(np.asarray(rows), dtype=torch.float32)
    for rows in (data.state, data.action, data.next_state)
)
spread = (after - state).std(dim=0)


class Dynamics(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.network = torch.nn.Sequential(
            torch.nn.Linear(4, 64), torch.nn.Tanh(), torch.nn.Linear(64, 3)
        )
        self.register_buffer("spread", spread)

    def forward(self, state, action):
        change = self.network(torch.cat([state, action], dim=1))
        return state + self.spread * change


def reward(state, action):
    angle = torch.atan2(state[:, 1], state[:, 0])
    return -(angle**2 + 0.1 * state[:, 2] ** 2 + 0.001 * action[:, 0] ** 2)


dynamics = Dynamics()
optimizer = torch.optim.Adam(dynamics.parameters(), lr=1e-3)
for _ in range(300):
    rows = torch.randint(len(state), (256,))
    error = (dynamics(state[rows], action[rows]) - after[rows]) / spread
    loss = (error**2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"the error of one step is {loss.item() ** 0.5:.3f} of the change that a step makes")

# %% [markdown]
# ## The policy in question
#
# It swings the pendulum up by its energy, and holds it there.


# %%
def policy(observation):
    cos, sin, speed = observation.T
    energy = speed**2 / 2 + 15 * (cos - 1)
    swing = -0.3 * energy * np.where(speed >= 0, 1.0, -1.0)
    torque = np.where(cos > 0.88, -(10 * sin + 2 * speed), swing)
    return np.clip(torque, -2, 2)[:, None]


# %% [markdown]
# ## The audit
#
# The policy is played for real, then in the model from the same starts. The difference of the two
# returns is split among the learned parts, exactly.

# %%
world = foreign.world(spec, dynamics=dynamics, reward=reward, reward_of="s,a", functions="torch")
actor = foreign.policy(policy, spec)
episodes = paracosm.evaluate(env, actor, episodes=20)
diagnosis = paracosm.audit(world, actor, episodes)
print(diagnosis.verdict)

# %%
gap = diagnosis.gap
print(f"real {gap.real:.1f}, promised {gap.predicted:.1f}")
print(f"the page: {paracosm.report(diagnosis, 'audit.html')}")
