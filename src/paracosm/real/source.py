"""What a real environment can be asked for, whether Gymnasium hosts it or JAX traces it."""

from __future__ import annotations

import abc
import copy
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, Num

from paracosm.core import callbacks, checks
from paracosm.core.carrying import require_carry
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.encoder import Encoder, belief_size
from paracosm.core.forms import require_shape
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.policy import Policy
from paracosm.real.scales import declared_scales

StepProgress = Callable[[int, int], None]
PolicyLike = Policy | Callable[[np.ndarray], Any]
"""A policy, or a function of one observation `[state]`."""

LANES = 8  # part of what a seed means: another number is another data set


class BadStep(checks.BadData):
    """The real environment, or the policy, cannot go on: it raised, exited, or gave what cannot be
    used.

    `partial` holds the steps before the failure (None if there are none; of a JAX-native system,
    which plays whole episodes at once, those of the episodes before), and `failed` the numbers of
    the episodes in which the environment failed; `Source.collect` goes on from both. Episodes in
    which the policy failed are played again.
    """

    def __init__(self, message: str, partial: Dataset | None, failed: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.partial, self.failed = partial, failed


class Interrupted(KeyboardInterrupt):
    """Ctrl-C came while the real environment was stepped; `partial` holds the steps before, as that
    of `BadStep` does.
    """

    def __init__(self, partial: Dataset | None) -> None:
        super().__init__()
        self.partial = partial


class CollectionRequest(NamedTuple):
    """The arguments of `Source.collect`."""

    steps: int
    seed: int
    policy: PolicyLike | None
    first_episode: int
    workers: int
    before: Dataset | None
    lanes: int = LANES
    spare: int = 0
    failed: tuple[int, ...] = ()


class LaneRemainder(NamedTuple):
    """What each lane has yet to do: steps to take, and the number of its next episode."""

    steps: Int[np.ndarray, " lane"]
    episode: Int[np.ndarray, " lane"]


class EvaluationRequest(NamedTuple):
    """The arguments of `Source.evaluate`."""

    policy: PolicyLike
    episodes: int
    first_seed: int
    horizon: int
    sampled: bool
    seed: int


class Source(abc.ABC):
    """A real environment: collected from, evaluated on, and counting every step that it takes.

    Attributes:
        name: what the user called it.
        state_size: number of state components.
        image: height, width and channels where states are images, each a flat row of uint8,
            row-major of `[height, width, channels]`; None where they are vectors.
        components: what the components of a state are called, empty where they have no names.
        encoder: what makes states of observations, None where observations are states.
        action: the action space, in the environment's units.
        horizon: steps in a full episode.
        limit: the environment's own time limit in steps, None if it has none.
    """

    name: str
    state_size: int
    image: tuple[int, int, int] | None = None
    components: tuple[str, ...] = ()
    _declared_scales: np.ndarray | None = None  # `[state]`, NaN where no scale is declared
    encoder: Encoder | None = None
    action: Box | Discrete
    horizon: int
    limit: int | None

    @property
    def steps(self) -> int:
        """Real steps taken since this object was made, evaluation included, and those of its
        copies: see `through` and `scaled`.
        """
        return self._step_counter[0]

    @steps.setter
    def steps(self, steps: int) -> None:
        self._step_counter[0] = steps

    @functools.cached_property
    def _step_counter(self) -> list[int]:
        """The number of steps, in a list that copies of this source share."""
        return [0]

    @property
    def state_type(self) -> type[np.generic]:
        """The type of recorded states: uint8 of images, else float32."""
        return np.float32 if self.image is None else np.uint8

    def through(self, encoder: Encoder) -> Source:
        """The same environment seen through an encoder: its states are beliefs, float32, and its
        steps are counted with those of this source.

        The environment is not looked at again.

        Raises:
            BadArgument: `encoder` is no Encoder, or does not fit what is observed, or there is one
                already.
        """
        checks.of_kind("encoder", encoder, Encoder, "an Encoder")
        if self.encoder is not None:
            raise checks.BadArgument(
                f"{self.name} is seen through an encoder already; one without is needed."
            )
        size = belief_size(encoder, self.state_size, self.action, self.state_type)
        if self._declared_scales is not None:
            raise checks.BadArgument(
                f"scales are declared for the states of {self.name}; beliefs have others, and a"
                " source without declared scales is needed."
            )
        source = self._copy_with_same_counter()
        source.encoder, source.state_size = encoder, size
        source.image, source.components = None, ()
        return source

    @property
    def _is_encoded(self) -> bool:
        """Whether policies act on what an encoder makes of observations."""
        return self.encoder is not None

    def scaled(self, state_scale: Mapping[str, float]) -> Source:
        """The same environment, whose states have these scales in place of those of the data: what
        an error of one unit is, in training and in every measure. States stay as they are.

        Args:
            state_scale: Scales by the name of a component or of a part, or by a component's number;
                the scales of the others are those of the data.

        Raises:
            BadArgument: a name is that of no component, or a scale is no positive number.
        """
        source = self._copy_with_same_counter()
        source._declared_scales = declared_scales(state_scale, self.components, self.state_size)
        return source

    def _copy_with_same_counter(self) -> Source:
        """A copy that counts its steps together with this source."""
        source = copy.copy(self)
        source._step_counter = self._step_counter
        return source

    @property
    def blank_spec(self) -> Spec:
        """The spec before anything was recorded: every scale is 1."""
        scale = jnp.ones(self.state_size)
        return Spec(self.state_size, self.action, state_scale=scale, horizon=self.horizon)

    def repeatability_remarks(self) -> tuple[str, ...]:
        """Sentences on what keeps its numbers from being had again, such as that it ignores seeds;
        it may play an episode to find out.
        """
        return ()

    def spec(self, data: Dataset) -> Spec:
        """What is fixed about the task; its state scale is that of the bought rows of the first
        collection, `data`.

        Raises:
            BadData: nothing was bought, or of states of another size than the task's.
        """
        checks.of_kind("data", data, Dataset, "a Dataset, which collect gives,")
        states = data.bought_states
        if not len(states):
            raise checks.BadData(
                "no row of the data was bought; the scale of the states is taken from bought rows."
            )
        if states.shape[1] != self.state_size:
            raise checks.BadData(
                f"the data's states have {states.shape[1]} components; those of {self.name} have"
                f" {self.state_size}."
            )
        self.require_kind("the data", states)
        spec = self._spec(states)
        if self._declared_scales is None:
            return spec
        scale = np.where(np.isnan(self._declared_scales), spec.state_scale, self._declared_scales)
        return dataclasses.replace(spec, state_scale=jnp.asarray(scale, jnp.float32))

    def require_kind(self, where: str, states: np.ndarray) -> None:
        """Require recorded states to be images where the source shows images, else vectors.

        Raises:
            BadData: they are not; the sentence says `where` they come from.
        """
        checks.one_kind_of_states(where, states, np.empty(0, self.state_type))

    @abc.abstractmethod
    def _spec(self, states: Num[np.ndarray, "rows state"]) -> Spec:
        """`spec`, of the states of bought rows; their declared scales are put in afterwards."""

    def collect(
        self,
        steps: int,
        *,
        seed: int,
        policy: PolicyLike | None = None,
        first_episode: int = 0,
        workers: int = 1,
        before: Dataset | None = None,
        failed: tuple[int, ...] = (),
        lanes: int = LANES,
        spare: int = 0,
        progress: StepProgress | None = None,
    ) -> Dataset:
        """Take exactly `steps` real steps, without `spare` ones; every transition and reward label
        is observed.

        The steps are shared out to eight logical lanes (fewer if `steps` are fewer). Lane j plays
        the episodes `first_episode + j`, `first_episode + j + lanes`, … whole, and its last one
        until its share is spent. What happens in an episode depends on `(seed, episode)` only, so
        `workers` changes nothing but the time.

        Args:
            steps: number of real steps.
            seed: non-negative; with the episode's number it fixes the start, the actions and the
                noise.
            policy: a policy whose samples act, or a function of one observation, whose discrete
                actions count from 0; uniformly random actions if None.
            first_episode: the number of the first episode; later rounds go on where the last one
                ended.
            workers: processes that host environments; 1 stays in this one. An environment that ends
                its process (a crash in C, `os._exit`) then ends this one with the steps taken: only
                with 2 or more is that caught.
            before: what an earlier call with the same arguments took before it stopped
                (`BadStep.partial`, `Interrupted.partial`). Its episodes stay as they are, the last
                one of each lane cut where it stopped, and the next ones follow: no step is taken
                twice.
            failed: numbers of the episodes that failed then (`BadStep.failed`), which are not
                played again: an environment that fails at the reset of an episode, of which
                `before` has no row, is got past too.
            lanes: how many lanes there are. With few steps and long episodes eight of them see
                only how episodes begin; one sees them whole.
            spare: steps beyond `steps` that each lane may take to finish its last episode.
            progress: called with the number of steps taken and `steps`.

        Returns:
            Rows in the order of (episode, time).

        Raises:
            BadStep: the environment or the policy raised, exited, or gave what cannot be used,
                such as NaN, or an encoder gave a belief that is not finite.
            BadData: copies of the environment disturb one another.
            Interrupted: Ctrl-C came while the environment was stepped; its `partial` holds the
                steps before, of a JAX-native system the whole episodes before.
        """
        for name, value, least in (
            ("steps", steps, 1),
            ("first_episode", first_episode, 0),
            ("workers", workers, 1),
            ("lanes", lanes, 1),
            ("spare", spare, 0),
        ):
            checks.count(name, value, least)
        checks.seed("seed", seed)
        for episode in failed:
            checks.count("an episode of failed", episode, first_episode)
        if policy is not None:
            _require_policy(policy, sampled=False)
            self._require_encoder(policy)
            self._require_policy_shape(policy)
        # With spare steps one lane may hold so many before another has taken its share
        if before is not None and not spare and before.real_steps >= steps:
            raise checks.BadArgument(
                f"before holds {before.real_steps} steps; it must hold fewer than {steps}."
            )
        request = CollectionRequest(
            steps=steps,
            seed=seed,
            policy=policy,
            first_episode=first_episode,
            workers=workers,
            before=before,
            lanes=lanes,
            spare=spare,
            failed=tuple(failed),
        )
        with callbacks.as_raised():
            return self._collect(request, progress or _ignore_progress)

    def evaluate(
        self,
        policy: PolicyLike,
        *,
        episodes: int = 20,
        first_seed: int = 10_000,
        horizon: int | None = None,
        sampled: bool = False,
        seed: int = 0,
        progress: StepProgress | None = None,
    ) -> Trajectory:
        """Play whole episodes, episode i started from the seed `first_seed + i`.

        Args:
            policy: its mode acts, or its samples with `sampled`; or a function of one observation
                `[state]`, whose discrete actions count from 0.
            episodes: number of episodes, played side by side, each in a copy of its own.
            first_seed: the first episode's seed.
            horizon: steps after which an episode is cut; the environment's own limit if None.
            sampled: whether actions are sampled; the start states stay the same.
            seed: the seed of the sampled actions.
            progress: called with the number of time steps played and `horizon`.

        Returns:
            NumPy arrays `[episodes, horizon, …]`; after its end an episode's state stays, its
            rewards are 0 and its actions mean nothing.

        Raises:
            BadData: the environment raised, exited, or gave what cannot be used, such as NaN, or an
                encoder gave a belief that is not finite; or its copies disturb one another.
        """
        horizon = self.horizon if horizon is None else horizon
        checks.count("episodes", episodes)
        checks.count("horizon", horizon)
        checks.seed("first_seed", first_seed)
        checks.seed("the last seed", first_seed + episodes - 1)
        checks.seed("seed", seed)
        _require_policy(policy, sampled=sampled)
        self._require_encoder(policy)
        played = policy.greedy() if isinstance(policy, Policy) and not sampled else policy
        self._require_policy_shape(played)
        request = EvaluationRequest(
            policy=policy,
            episodes=episodes,
            first_seed=first_seed,
            horizon=horizon,
            sampled=sampled,
            seed=seed,
        )
        with callbacks.as_raised():
            return self._evaluate(request, progress or _ignore_progress)

    def starts(self, count: int, *, first_seed: int) -> Num[np.ndarray, "start state"]:
        """First states of episodes, beliefs where there is an encoder; no real step is taken.

        Row i is the first state of the episode that `evaluate` starts from the seed
        `first_seed + i`.

        Args:
            count: number of first states.
            first_seed: the first one's seed.

        Raises:
            BadData: the environment raised, exited, or gave what cannot be used, such as NaN, or an
                encoder gave a belief that is not finite.
        """
        checks.count("count", count)
        checks.seed("first_seed", first_seed)
        checks.seed("the last seed", first_seed + count - 1)
        with callbacks.as_raised():
            return self._starts(first_seed + np.arange(count))

    def _require_encoder(self, policy: PolicyLike) -> None:
        """Refuse a policy of an encoder's states where there is no encoder.

        Raises:
            BadArgument: it acts on what its own encoder makes of observations.
        """
        if getattr(policy, "played_through", None) is not None and not self._is_encoded:
            raise checks.BadArgument(
                f"the policy acts on what its own encoder makes of observations, and {self.name} is"
                " seen without an encoder; connect(…, encoder=policy.played_through) is needed."
            )

    def _require_policy_shape(self, policy: PolicyLike) -> None:
        """Refuse a policy of another state or action size.

        Raises:
            BadData: its action at a state of this source has another shape.
        """
        if isinstance(policy, Policy):
            require_carry(policy, (self.state_size,), self.state_type)
            needed = () if isinstance(self.action, Discrete) else (self.action.size,)
            state, key = jnp.zeros(self.state_size, self.state_type), jax.random.key(0)
            require_shape(
                "the policy's action", lambda: policy.act(policy.initial(), state, key)[0], needed
            )

    @abc.abstractmethod
    def _collect(self, collection: CollectionRequest, progress: StepProgress) -> Dataset:
        """`collect`, of checked arguments."""

    @abc.abstractmethod
    def _evaluate(self, evaluation: EvaluationRequest, progress: StepProgress) -> Trajectory:
        """`evaluate`, of checked arguments."""

    @abc.abstractmethod
    def _starts(self, seeds: Int[np.ndarray, " start"]) -> Num[np.ndarray, "start state"]:
        """`starts`, of checked arguments: the first states of the episodes with these seeds."""


def _ignore_progress(done: int, total: int) -> None:
    """A `StepProgress` that does nothing."""


def shares(steps: int, most_lanes: int) -> Int[np.ndarray, " lanes"]:
    """How many of `steps` each lane takes; they differ by one at most."""
    lanes = min(most_lanes, steps)
    return steps // lanes + (np.arange(lanes) < steps % lanes)


def remaining_by_lane(collection: CollectionRequest) -> LaneRemainder:
    """What each lane has yet to do of a collection.

    Raises:
        BadArgument: its `before` holds steps of another collection.
    """
    share = shares(collection.steps, collection.lanes)
    lanes, first = len(share), collection.first_episode
    episode = first + np.arange(lanes)
    failed = np.array(collection.failed, np.int64)
    np.maximum.at(episode, (failed - first) % lanes, failed + lanes)
    if collection.before is None:
        return LaneRemainder(steps=share, episode=episode)
    lane = (collection.before.episode - first) % lanes
    if (collection.before.episode < first).any() or (
        np.bincount(lane, minlength=lanes) > share + collection.spare
    ).any():
        raise checks.BadArgument(
            "before is not what this collection took; its episodes or counts are others."
        )
    np.maximum.at(episode, lane, collection.before.episode + lanes)
    steps = np.maximum(share - np.bincount(lane, minlength=lanes), 0)
    return LaneRemainder(steps=steps, episode=episode)


def sort_rows(rows: Dataset) -> Dataset:
    """The rows in the order of (episode, time)."""
    order = np.lexsort((rows.time, rows.episode))
    return Dataset(
        **{field.name: getattr(rows, field.name)[order] for field in dataclasses.fields(Dataset)}
    )


def _require_policy(policy: Any, *, sampled: bool) -> None:
    """Refuse what is no policy, and a plain function where samples are wanted.

    Raises:
        BadArgument: it is so.
    """
    if isinstance(policy, type) or not (isinstance(policy, Policy) or callable(policy)):
        raise checks.BadArgument(
            f"policy is {checks.described(policy)}; a Policy or a function of one observation is"
            " needed."
        )
    if sampled and not isinstance(policy, Policy):
        raise checks.BadArgument(
            "sampled is True and policy is a plain function; only a Policy can be sampled."
        )


def stack(parts: Sequence[Dataset]) -> Dataset:
    """Rows of all parts, one after another, each keeping its episode numbers."""
    names = [field.name for field in dataclasses.fields(Dataset)]
    return Dataset(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    )
