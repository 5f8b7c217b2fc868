"""Recurrent state-space models, as Dreamer has them: a deterministic part h and a stochastic z.

`h' = f(h, z, a)` is the same for both, `z' ~ p(z | h')` is the prior in imagination and `z' ~ q(z |
h', o')` the posterior after an observation (Hafner et al. 2019, 2023). Two forms are read: an
object with the methods `img_step` and `obs_step`, as Dreamer's ports to PyTorch have it, and a pair
of modules (prior, posterior), as TorchRL has it. Whatever they sample is left alone: z is made here
of the statistics that they give, its mode without gradients through an argmax.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from paracosm.adapters.answers import mode_of, named_calls
from paracosm.adapters.fitting import fitting
from paracosm.adapters.functions import Calls, Functions
from paracosm.adapters.recurrent import MemorySettings, Recurrent, recurrent_model
from paracosm.adapters.window import network_actions
from paracosm.core import checks
from paracosm.core.mdp import Spec

_STEP_METHODS = ("img_step", "obs_step", "initial")
_OWN = ("get_feat", "get_dist")  # methods that are used where an RSSM has them
_FORMS = (
    "an RSSM with img_step, obs_step and initial, or a pair (prior, posterior) as of TorchRL's"
    " RSSMPrior and RSSMPosterior"
)
_HEADS = ("reward", "act", "ended")


def dreamer(
    rssm: Any,
    spec: Spec,
    *,
    encode: Any,
    reward: Any,
    act: Any,
    ended: Any = None,
    termination_gives: str | None = None,
    noise: int = 0,
    discount: float = 0.99,
) -> Recurrent:
    """A torch RSSM, to be audited on its latents h and z.

    z is the mode by default, so that the imagined world is deterministic: the mean of a Gaussian,
    the most likely class of each categorical. Of a pair heads are called with `(z, h)`, as TorchRL
    calls them; of an RSSM with its own `get_feat` they are called with what that gives. Heads may
    give distributions, whose modes are taken. Actions of a finite set are one-hot.

    Args:
        rssm: An object with `img_step(state, action, sample)`, `obs_step(state, action, embedding,
            is_first, sample)` and `initial(batch)`, of states that are dicts of `deter`, `stoch`
            and either `logit` or `mean` and `std`; or a pair `(prior, posterior)`: `prior(z, h, a)
            -> (mean, std, z', h')` or `(logits, z', h')`, `posterior(h, embedding) -> (mean, std,
            z)` or `(logits, z)`. TorchRL's `TensorDictModule`s, `RSSMRollout` and, for the prior,
            `WorldModelWrapper` and `ModelBasedEnvBase` are looked into.
        spec: The task in observations.
        encode: Observations to embeddings.
        reward: The reward, of the latents after the step.
        act: The action, in the environment's units.
        ended: Whether it ends, of the latents after the step; None means never.
        termination_gives: What `ended` gives: see `world`. Dreamer's continue head is `continue`.
        noise: How many standard normals an imagined step draws z with, as many as z has numbers;
            0 takes the mode. Categoricals have the logits of the RSSM's own `get_dist(state)`.
        discount: γ.

    Raises:
        BadArgument: the RSSM is of neither form, or `noise` is another number.
        BadAnswer: a function fails on a batch of zeros.
    """
    modules, derive = _functions_of_rssm(rssm, spec)
    given = {"encode": encode, "reward": reward, "act": act}
    given |= {} if ended is None else {"ended": ended}
    functions = Functions(
        modules | {name: _tensor_module(function) for name, function in given.items()},
        "RSSM",
        derive,
    )
    settings = MemorySettings(
        reward_of="s'",
        ends=ended is not None,
        termination_gives=termination_gives,
        noise=noise,
        discount=discount,
    )
    return recurrent_model(functions, spec, settings)


def _functions_of_rssm(rssm: Any, spec: Spec) -> tuple[dict[str, Any], Callable[[Calls], Calls]]:
    """The functions of an RSSM by name, and what makes those of a recurrent model of them.

    Raises:
        BadArgument: the RSSM is of no known form.
    """
    if hasattr(rssm, "rssm_prior") and hasattr(rssm, "rssm_posterior"):
        return _functions_of_rssm((rssm.rssm_prior, rssm.rssm_posterior), spec)
    if isinstance(rssm, (tuple, list)) and len(rssm) == 2:
        prior, posterior = map(_tensor_module, rssm)
        width = getattr(prior, "rnn_hidden_dim", None)
        if callable(prior) and callable(posterior) and isinstance(width, int):
            modules = {"prior": prior, "posterior": posterior}
            return modules, lambda calls: _pair_functions(calls, width, spec)
    if not isinstance(rssm, type) and all(hasattr(rssm, name) for name in _STEP_METHODS):
        names = (*_STEP_METHODS, *(name for name in _OWN if hasattr(rssm, name)))
        modules = {name: getattr(rssm, name) for name in names}
        return modules, lambda calls: _stepping_functions(calls, spec)
    raise checks.BadArgument(
        f"paracosm.foreign.dreamer is given {checks.described(rssm)}; {_FORMS} is"
        f" needed{fitting(rssm)}."
    )


def _tensor_module(module: Any) -> Any:
    """The module of tensors inside of TorchRL's module of tensordicts; any other as it is."""
    if hasattr(module, "world_model"):
        return _tensor_module(module.world_model)
    if callable(getattr(module, "get_transition_model_operator", None)):
        return _tensor_module(module.get_transition_model_operator())
    inner = getattr(module, "module", None)
    if inner is None or not hasattr(module, "in_keys"):
        return module
    return _tensor_module(inner[0] if type(inner).__name__ == "ModuleList" else inner)


def _pair_functions(calls: Calls, width: int, spec: Spec) -> Calls:
    """The functions of a recurrent model, made of a prior and a posterior.

    Args:
        calls: By name: `prior`, `posterior`, and the heads.
        width: Numbers in h.
        spec: The task, of which the actions matter.
    """

    calls = named_calls(calls, but=_HEADS)

    def posterior_memory(h: Any, observation: Any) -> dict[str, Any]:
        """The memory of h and an observation."""
        *statistics, _ = calls["posterior"](h, calls["encode"](observation))
        return {"deter": h, "stoch": _draw_latent(statistics)}

    def prior_after(memory: dict[str, Any], action: Any) -> tuple[list[Any], Any]:
        """The prior's statistics of z after an action, and h."""
        actions = network_actions(action, memory["deter"].dtype, spec)
        *statistics, _, h = calls["prior"](memory["stoch"], memory["deter"], actions)
        return statistics, h

    def next_memory(memory: dict[str, Any], action: Any, *normals: Any) -> dict[str, Any]:
        statistics, h = prior_after(memory, action)
        return {"deter": h, "stoch": _draw_latent(statistics, *normals)}

    def head(name: str) -> Callable[..., Any]:
        return lambda memory: mode_of(calls[name](memory["stoch"], memory["deter"]))

    return {
        "start": lambda observation: posterior_memory(
            observation.new_zeros(len(observation), width), observation
        ),
        "observe": lambda memory, action, observation: posterior_memory(
            prior_after(memory, action)[1], observation
        ),
        "next": next_memory,
        **{name: head(name) for name in _HEADS},
    }


def _stepping_functions(calls: Calls, spec: Spec) -> Calls:
    """The functions of a recurrent model, made of an RSSM that steps states of its own.

    Args:
        calls: By name: `img_step`, `obs_step`, `initial`, `get_feat` and `get_dist` where the RSSM
            has them, and the heads.
        spec: The task, of which the actions matter.
    """

    calls = named_calls(calls, but=_HEADS)

    def memory_of(state: Mapping[str, Any], *normals: Any) -> dict[str, Any]:
        """The memory of a state of the RSSM, its z made of its statistics."""
        names = ("logit",) if "logit" in state else ("mean", "std")
        statistics = [state[name] for name in names]
        if normals and "logit" in state and "get_dist" in calls:
            statistics = [_logits_of(calls["get_dist"](state), state["logit"])]
        latent = _draw_latent(statistics, *normals)
        return {"deter": state["deter"], "stoch": latent.reshape(state["stoch"].shape)}

    def posterior_memory(before: tuple[Any, Any], observation: Any, first: Any) -> dict[str, Any]:
        """The memory of an observation after a state and an action, `before`; `first` is 1 at the
        start of an episode.
        """
        after = calls["obs_step"](*before, calls["encode"](observation), first, sample=False)
        return memory_of(after[0] if isinstance(after, tuple) else after)

    def start(observation: Any) -> dict[str, Any]:
        rows = len(observation)
        no_action = observation.new_zeros(rows, spec.action.size)
        return posterior_memory(
            (calls["initial"](rows), no_action), observation, observation.new_ones(rows)
        )

    def observe(memory: dict[str, Any], action: Any, observation: Any) -> dict[str, Any]:
        actions = network_actions(action, observation.dtype, spec)
        return posterior_memory(
            (memory, actions), observation, observation.new_zeros(len(observation))
        )

    def next_memory(memory: dict[str, Any], action: Any, *normals: Any) -> dict[str, Any]:
        actions = network_actions(action, memory["deter"].dtype, spec)
        return memory_of(calls["img_step"](memory, actions, sample=False), *normals)

    def head(name: str) -> Callable[..., Any]:
        feature = calls.get("get_feat", _concatenate_latents)
        return lambda memory: mode_of(calls[name](feature(memory)))

    return {
        "start": start,
        "observe": observe,
        "next": next_memory,
        **{name: head(name) for name in _HEADS},
    }


def _logits_of(distribution: Any, of_state: Any) -> Any:
    """The logits of a distribution of categoricals, those of its state where it shows none; a
    state's may lack what a model mixes in, such as a share of equal chances.
    """
    return getattr(getattr(distribution, "base_dist", distribution), "logits", of_state)


def _draw_latent(statistics: list[Any], normals: Any = None) -> Any:
    """z `[batch, z]`: the mode, or drawn with `normals` `[batch, z]`.

    Of a Gaussian `(mean, std)` it is the mean plus the normals' deviations; of categoricals
    `(logits,)`, `[batch, categorical, class]`, one-hot rows by the Gumbel maximum, whose noise is
    made of the normals. No gradient passes an argmax.

    Args:
        statistics: Those of the distribution of z.
        normals: The standard normals that it is drawn with; None for the mode.

    Raises:
        BadArgument: there are not as many normals as z has numbers.
    """
    import torch

    size = statistics[0][0].numel()
    if normals is not None and normals.shape[1] != size:
        raise checks.BadArgument(
            f"noise is {normals.shape[1]}; z has {size} numbers, which is how many normals draw it,"
            " and 0 takes its mode."
        )
    if len(statistics) == 2:
        mean, std = statistics
        return mean if normals is None else mean + std * normals
    logits = statistics[0].detach()
    if normals is not None:
        share = torch.special.ndtr(normals.double()).clamp(1e-12, 1 - 1e-12)
        logits = logits - torch.log(-torch.log(share)).reshape(logits.shape).to(logits.dtype)
    chosen = torch.nn.functional.one_hot(logits.argmax(dim=-1), logits.shape[-1])
    return chosen.to(logits.dtype).flatten(1)


def _concatenate_latents(memory: dict[str, Any]) -> Any:
    """z and h side by side, as Dreamer's own `get_feat` has them."""
    import torch

    return torch.cat([memory["stoch"].flatten(1), memory["deter"]], dim=1)
