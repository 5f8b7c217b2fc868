# %% [markdown]
# # Cheap noisy labels or expensive clean ones?
#
# Rewards come from people who may look at an episode for a minute or for an hour: the longer, the
# dearer and the less noisy. With one budget, how long should they look?

# %%
import numpy as np
from matplotlib import pyplot as plt

import paracosm
from paracosm.planning import fidelity

budget, rollout, signal, noise = 5000.0, 1.0, 40.0, 6.0

# %% [markdown]
# ## Labels whose noise falls with their price
#
# A label that costs `c` has noise of variance `s(c) = 2 / c^0.7`. The gradient of `n` rollouts,
# each labelled for `c`, has the variance `(40 + 6 s(c)) / n`, and `n (1 + c)` is the budget.

# %%
plan = paracosm.plan_labels(
    fidelity.parse("power:2.0,0.7"),
    budget=budget,
    cost_rollout=rollout,
    gradient_variance=signal,
    noise_coefficient=noise,
)
print(f"{plan.cost:.3f} a label, and {plan.rollouts} of them: variance {plan.variance:.4f}")
print(f"the page: {paracosm.report(plan, 'labels.html')}")

# %% [markdown]
# The same by hand, at every price: the best one is the plan's.

# %%
prices = np.geomspace(0.001, 10, 200)
count = budget / (rollout + prices)
variance = (signal + noise * 2.0 * prices**-0.7) / count
best = prices[np.argmin(variance)]
print(f"by hand: {best:.3f} a label, and {budget / (rollout + best):.0f} of them")

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.loglog(prices, variance)
axes.axvline(best, color="gray", linestyle=":")
axes.set_xlabel("price of a label")
axes.set_ylabel("variance of the gradient")
figure.savefig("labels.png")

# %% [markdown]
# ## Cheap labels that are wrong on average
#
# A learned judge labels for a hundredth of the price, with a bias. More of its labels do
# not take the bias away, a few clean ones beside them do.

# %%
for bias in (0.0, 0.1, 0.3, 1.0):
    mixture = paracosm.plan_mixture(
        budget=budget,
        cost_rollout=rollout,
        cheap_cost=0.2,
        gold_cost=20,
        cheap_variance=50,
        gold_variance=40,
        correlation=0.9,
        bias=bias,
    )
    errors = ", ".join(f"{choice.name} {choice.error:.4f}" for choice in mixture.choices)
    print(f"bias {bias}: {mixture.winner} ({errors})")
