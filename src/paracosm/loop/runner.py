"""The stages of a run: rounds of collect, learn, imagine; then evaluate, audit, report. Every stage
can be resumed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from paracosm.auditing.plausibility import RANDOM, RECORDED, reference
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.files import writing
from paracosm.core.keys import later_seed, stage_key
from paracosm.core.learned import Learned
from paracosm.core.learner import Learner, Problem
from paracosm.core.mdp import MDP, Spec
from paracosm.core.policy import Noisy, Policy, markov
from paracosm.core.progress import Progress
from paracosm.core.records import Diagnosis, Weights
from paracosm.core.records.decisions import Bought, Curve, Decision
from paracosm.core.records.discount import DiscountChoice
from paracosm.core.records.results import Purchases, RunResult
from paracosm.core.records.rounds import RoundAudit
from paracosm.imagination.caution import Caution
from paracosm.imagination.earlier import choose_training
from paracosm.imagination.imagine import Imagined, ImagineSettings, imagine, problem_of
from paracosm.imagination.place_planner import place_planner
from paracosm.imagination.planners import Planner
from paracosm.learning.learn import learn
from paracosm.loop import store, tracked_numbers, trajectories, versions
from paracosm.loop.auditing import PLANNER_AUDIT_DEFAULTS, AuditOptions, audit, with_next_step
from paracosm.loop.caveats import run_warnings
from paracosm.loop.collecting import collect_or_resume
from paracosm.loop.config import RunConfig
from paracosm.loop.directory import RunDirectory
from paracosm.loop.discounts import discount_choice
from paracosm.loop.indicators import of_rounds
from paracosm.loop.latents import ENCODER_KINDS, EncoderLearning, View
from paracosm.loop.named_parts import settings_shown, used_data
from paracosm.loop.partial_training import PartialTraining
from paracosm.loop.result_files import write_result
from paracosm.loop.round_audit_stage import can_audit_round, round_audit_stage
from paracosm.loop.rounds import Round, TrainingStart, training_start
from paracosm.loop.run_tracker import RunTracker
from paracosm.loop.short_rounds import (
    ShortRounds,
    mean_episode_return,
    uses_short_rounds,
    with_round_stop_reason,
)
from paracosm.loop.spending import Purse, curves_of, imagined_weights
from paracosm.real import datasets
from paracosm.real.source import LANES, Source

_STAGES = ("collect", "encode", "plan", "learn", "imagine", "evaluate", "audit")


@dataclasses.dataclass(kw_only=True)
class Runner:
    """Takes a run through its stages.

    Attributes:
        config: What the run is asked to do.
        source: The real environment.
        owned: Owned data that are used in place of a collection, None if there are none.
        given_parts: Reward and termination as functions, each None if it is to be learned.
        learner: What trains the policy, REINFORCE if None.
        caution: What training makes of what the world does not know.
        make_planner: Makes what plans in place of a trained policy, None if a policy is trained.
        directory, progress, tracker: Where results are stored, shown and tracked.
    """

    config: RunConfig
    source: Source
    owned: Dataset | None
    given_parts: dict[str, Callable | None]
    learner: Learner | None
    caution: Caution
    make_planner: Callable[[MDP], Planner] | None
    directory: RunDirectory
    progress: Progress
    tracker: RunTracker

    def run_stages(self) -> RunResult:
        """Go through all stages; those that were finished before are read back."""
        rounds = [self._round(self._first_decision(), None)]
        first_steps = rounds[0].data.real_steps
        while (decision := self._next_decision(rounds[-1])) is not None:
            next_round = self._round(decision, rounds[-1])
            rounds = [*rounds[:-1], rounds[-1].without_rows(), next_round]
        last = rounds[-1]
        if self.make_planner is None:
            with self.directory.attempt():
                store.save_policy(self.directory.file("policy"), last.imagined.policy)
        episodes = self._evaluate(last.view.source, last.imagined.policy)
        self.tracker.log("evaluate", 0, {"real_return": float(episodes.reward.sum(axis=1).mean())})
        diagnosis = self._audit(last.data.first(first_steps), last, episodes)
        self.tracker.log("audit", 0, tracked_numbers.gap_terms(diagnosis))
        purse, decisions = self.config.purse(), [round.decision for round in rounds]
        if purse is not None:
            decisions.append(self._plan(self.config.rounds, purse, last, diagnosis.weights))
        return self._report(rounds, diagnosis, () if purse is None else tuple(decisions))

    @functools.cached_property
    def _encoders(self) -> EncoderLearning:
        """What learns the encoder, if this run has one of its own."""
        config, (transitions, _) = self.config, self.config.counts()
        kind = config.encoder if config.encoder in ENCODER_KINDS else None
        return EncoderLearning(
            self.source, self.directory, config.seed, transitions, kind, self._is_last
        )

    def _is_last(self, number: int, data: Dataset) -> bool:
        """Whether no round follows the one of this number, after which `data` are owned."""
        if self._short_rounds is not None:
            return self._short_rounds.is_last(data)
        return number == self.config.rounds - 1

    @functools.cached_property
    def _short_rounds(self) -> ShortRounds | None:
        """How the learner goes on from round to round, None if it starts anew in each."""
        if not uses_short_rounds(self.learner):
            return None
        transitions, labels = self.config.counts()
        if self.owned is not None:
            used = used_data(self.owned, self.config)
            transitions, labels = len(used.transitions), len(used.labels)
        return ShortRounds(transitions, labels, self.source.horizon)

    def _round(self, decision: Decision, before: Round | None) -> Round:
        """A round: its purchase, its world and its policy.

        Args:
            decision: What to buy.
            before: The round before, None in the first.
        """
        number = decision.round
        view, bought = self._collect_and_encode(decision, before)
        encoder_changed = view.encoder_changed(None if before is None else before.view)
        if view.networks is not None and (before is None or encoder_changed):
            self.tracker.log("encode", number, view.losses)
        self.tracker.log("collect", number, tracked_numbers.counts(view.data))
        spec = view.spec() if before is None or encoder_changed else before.spec
        audit_before = None if before is None else self._audit_round(before, bought)
        discount = self._discount(view.data) if before is None else before.discount
        learned = self._learn(number, view.data, spec, discount.discount, before)
        self.tracker.log("learn", number, tracked_numbers.held_out_errors(learned))
        settings = self._imagine_settings(bought, view.data)
        start = TrainingStart()
        if self._short_rounds is not None:
            start = training_start(
                self._short_rounds,
                before,
                view.data,
                learned,
                mean_return_of_purchase=mean_episode_return(
                    bought, self.source.horizon, self.given_parts["reward"]
                ),
                audit_before=audit_before,
                encoder_changed=encoder_changed,
            )
        training_steps_before = 0 if before is None else before.training_steps
        real_steps_before = self.source.steps
        imagined = self._imagine(
            number,
            view.data,
            learned,
            settings=settings,
            start=start,
            training_steps_before=training_steps_before,
        )
        return Round(
            decision=decision,
            view=view,
            spec=spec,
            discount=discount,
            learned=learned,
            settings=settings,
            start=start,
            imagined=imagined,
            training_steps=training_steps_before + settings.most_steps,
            real_steps_while_training=self.source.steps - real_steps_before,
            audit_before=audit_before,
        )

    def _collect_and_encode(self, decision: Decision, before: Round | None) -> tuple[View, Dataset]:
        """All rows as this round sees them, and this round's purchase in the beliefs of the round
        before, whose policy and world it is to judge.

        Args:
            decision, before: As for `_round`.
        """
        number, encoders = decision.round, self._encoders
        purchase = self._collect(decision, before)
        if encoders.kind is not None:
            self.progress("encode" + self._round_suffix(number), 0, 1)
        view = encoders.view(number, purchase, before and before.view)
        return view, purchase if before is None else before.view.encode(purchase)

    def _first_decision(self) -> Decision:
        """What to buy in the first round."""
        purse, short = self.config.purse(), self._short_rounds
        if purse is not None:
            pilot = purse.pilot()
            self.tracker.log("plan", 0, tracked_numbers.purchase(pilot))
            return pilot
        first = None if short is None else short.decision(0, 0)
        return first or self._equal_share(0)

    def _next_decision(self, before: Round) -> Decision | None:
        """What to buy in the next round, None after the last one."""
        number, short = before.decision.round + 1, self._short_rounds
        if short is not None:
            return short.decision(number, len(before.data.transitions))
        if number == self.config.rounds:
            return None
        purse = self.config.purse()
        if purse is not None:
            return self._plan(number, purse, before, ())
        return self._equal_share(number)

    def _equal_share(self, number: int) -> Decision:
        """What a round buys where all buy the same."""
        transitions, labels = self.config.shares()[number]
        return Decision(round=number, transitions=transitions, labels=labels, plan=None, why="")

    def _plan(
        self, round: int, purse: Purse, before: Round, realised: tuple[Weights, ...]
    ) -> Decision:
        """What to buy next.

        Args:
            round: The round that it is for.
            purse: The budget and its prices.
            before: The round before.
            realised: Weights that an audit found; if there are none, those of imagined episodes
                are taken.
        """
        self.progress("plan" + self._round_suffix(round), 0, 1)

        data, seed = before.data, self.config.seed

        def measure() -> tuple[dict[Bought, Curve], tuple[Weights, ...]]:
            policy = markov(before.imagined.policy)
            weights = realised or imagined_weights(
                data, before.learned, policy, seed=seed, round=round
            )
            return curves_of(data, before.spec, seed=seed, settings=self.config.learn), weights

        def decide() -> Decision:
            if before.learned.fits["reward"].origin == "constant":
                return purse.transitions_only(round, data)
            return purse.decide(round, data, measure, seed)

        name = f"plan-{round}"
        decision = self.directory.record_stage(name, Decision, decide, f"{name}.json")
        self.tracker.log("plan", round, tracked_numbers.purchase(decision))
        return decision

    def _collect(self, decision: Decision, before: Round | None) -> Dataset:
        """The purchase of a round, as the environment shows it.

        Args:
            decision, before: As for `_round`.
        """
        round = decision.round
        file = self.directory.file(f"data/round-{round}.npz")

        def save(bought: Dataset) -> None:
            datasets.save(bought, file)
            self._partial_collection(round).unlink(missing_ok=True)

        return self.directory.stage(
            f"collect-{round}",
            lambda: (
                self._buy(decision, before)
                if self.owned is None
                else used_data(self.owned, self.config)
            ),
            save,
            lambda: datasets.load(file),
        )

    def _partial_collection(self, round: int) -> Path:
        """Where the steps of a round's collection that stopped are kept for the resumed run."""
        return self.directory.file(f"data/partial-{round}.npz")

    def _buy(self, decision: Decision, before: Round | None) -> Dataset:
        """Collect a round's steps, after those that a failure or Ctrl-C left behind."""
        steps = max(decision.transitions, decision.labels)
        partial = self._partial_collection(decision.round)
        # Older versions named no round: it is the one that a resumed run collects first.
        unnumbered = self.directory.file("data/partial.npz")
        if unnumbered.is_file():
            with writing(partial):
                unnumbered.replace(partial)
        short = self._short_rounds
        seed = later_seed(self.config.seed, decision.round)
        first_episode, collector = 0, None
        if before is not None:
            first_episode = int(before.data.episode.max()) + 1
            collector = before.view.observing(self._collector(before))
        bought_before = 0 if before is None else len(before.data.transitions)
        rows = collect_or_resume(
            self.source,
            steps,
            partial,
            policy=collector,
            progress=self._progress_of("collect", decision.round),
            seed=self.config.seed,
            first_episode=first_episode,
            workers=self.config.workers,
            lanes=LANES if short is None else 1,
            spare=0 if short is None else short.spare(decision, bought_before),
        )
        if short is not None:
            return short.with_labels(rows, bought_before, seed)
        return rows.buy(decision.transitions, decision.labels, seed)

    def _collector(self, before: Round) -> Policy:
        """What collects the data of the round after `before`."""
        policy = before.imagined.policy
        if self._short_rounds is not None:
            return policy
        return Noisy(policy, self.source.action, self.config.noise)

    def _audit_round(self, before: Round, bought: Dataset) -> RoundAudit | None:
        """What the purchase `bought` says of the round whose policy collected it, None if it can
        say nothing.
        """
        round, imagined = before.decision.round, before.imagined
        if not can_audit_round(bought, self.source.horizon, imagined.policy):
            return None
        self.progress("audit" + self._round_suffix(round), 0, 1)
        round_audit = round_audit_stage(
            self.directory,
            before.learned,
            imagined,
            self._collector(before),
            bought,
            seed=self.config.seed,
            round=round,
            transitions=len(before.data.transitions),
        )
        self.tracker.log("round", round_audit.transitions, tracked_numbers.round_audit(round_audit))
        return round_audit

    def _discount(self, first_purchase: Dataset) -> DiscountChoice:
        """The discount of training, by the first purchase unless one is given."""
        horizon = self.source.horizon
        rollout_steps = None
        if self._short_rounds is None and self.make_planner is None:
            rollout_steps = min(self.config.imagine.horizon, horizon)
        return discount_choice(
            self.config.discount,
            horizon,
            first_purchase,
            rollout_steps=rollout_steps,
            known_reward=self.given_parts["reward"],
        )

    def _learn(
        self, round: int, data: Dataset, spec: Spec, discount: float, before: Round | None
    ) -> Learned:
        """The world of this round, fitted anew or on from that of the round before.

        Args:
            round: The round.
            data, spec, discount: What it is learned from, and the discount of training.
            before: The round before.
        """
        short = self._short_rounds
        settings = self.config.learn if short is None else short.learn_settings(round)
        # Short rounds fit the networks of the world before on; other rounds fit new ones.
        go_on_from = None if short is None or before is None else before.learned
        file = self.directory.file(f"models/world-{round}")
        self.progress("learn" + self._round_suffix(round), 0, 1)
        return self.directory.stage(
            f"learn-{round}",
            lambda: learn(
                data,
                spec,
                discount=discount,
                seed=self.config.seed,
                round=round,
                settings=settings,
                reward=self.given_parts["reward"],
                termination=self.given_parts["termination"],
                before=go_on_from,
            ),
            lambda learned: store.save_world(file, learned),
            lambda: store.load_world(file, **self.given_parts),
        )

    def _imagine(
        self,
        round: int,
        data: Dataset,
        learned: Learned,
        *,
        settings: ImagineSettings,
        start: TrainingStart,
        training_steps_before: int,
    ) -> Imagined:
        """The policy of this round: a new one unless its learner goes on, since a policy that an
        early, bad world led astray can be a trap.

        Args:
            round: The round.
            data, learned: Where it is trained.
            settings: How long.
            start: What training takes from the rounds before.
            training_steps_before: At the most, of the rounds before.
        """
        if self.make_planner is not None:
            return place_planner(self.make_planner, learned, data, self.caution)
        file = self.directory.file(f"models/policy-{round}")
        tell, partial = self._progress_of("imagine", round), PartialTraining(self.directory, round)

        def follow(done: int, most: int, numbers: Mapping[str, float]) -> None:
            tell(done, most, f"imagined return {numbers['imagined_return']:.1f}")
            self.tracker.log("imagine", training_steps_before + done, numbers)

        def problem() -> Problem:
            return problem_of(
                learned,
                data,
                settings=settings,
                seed=self.config.seed,
                round=round,
                caution=self.caution,
            )

        def train() -> Imagined:
            imagined = imagine(
                learned,
                data,
                learner=self.learner,
                seed=self.config.seed,
                round=round,
                settings=settings,
                state=start.state,
                keep="best"
                if self._short_rounds is not None and self._short_rounds.is_last(data)
                else None,
                explore=start.explores,
                caution=self.caution,
                store=partial,
                progress=follow,
            )
            if self._short_rounds is None:
                return imagined
            imagined = with_round_stop_reason(imagined)
            if start.earlier is None:
                return imagined
            key = stage_key(self.config.seed, "earlier", round)
            return choose_training(imagined, start.earlier, key)

        def save(imagined: Imagined) -> None:
            store.save_imagined(file, imagined, learned.worst_reward(data))
            partial.discard()

        return self.directory.stage(
            f"imagine-{round}",
            train,
            save,
            lambda: store.load_imagined(file, learned.world, problem, self.learner),
        )

    def _evaluate(self, source: Source, policy: Policy) -> Trajectory:
        """Real episodes of the last policy, in the environment as its encoder shows it."""
        file = self.directory.file("data/evaluation.npz")
        return self.directory.stage(
            "evaluate",
            lambda: source.evaluate(
                policy, episodes=self.config.episodes, progress=self._progress_of("evaluate")
            ),
            lambda episodes: trajectories.save(file, episodes),
            lambda: trajectories.load(file),
        )

    def _audit(self, first_purchase: Dataset, last: Round, episodes: Trajectory) -> Diagnosis:
        """The diagnosis of the run.

        Args:
            first_purchase: As the last round sees it.
            last: The last round.
            episodes: Real ones of its policy.
        """
        self.progress("audit", 0, 1)
        world, imagined = last.learned.world, last.imagined
        origin = RANDOM if self.owned is None else RECORDED
        options: AuditOptions = {"certify": False}
        if self.make_planner is not None:
            options |= PLANNER_AUDIT_DEFAULTS

        def diagnose() -> Diagnosis:
            diagnosis = audit(
                world,
                imagined.policy,
                episodes,
                imagined if self.make_planner is None else None,
                known=reference(first_purchase, last.spec.horizon, origin, last.learned.given),
                seed=self.config.seed,
                **options,
            )
            return with_next_step(diagnosis, last.learned.fits, imagined.policy)

        return self.directory.record_stage("audit", Diagnosis, diagnose, "audit.json")

    def _report(
        self, rounds: list[Round], diagnosis: Diagnosis, decisions: tuple[Decision, ...]
    ) -> RunResult:
        """The result of the run, written with its page.

        Args:
            rounds: All of them.
            diagnosis: Of the last one.
            decisions: What a budget bought, and would buy next.
        """
        last = rounds[-1]
        data, fits, seconds = last.data, last.learned.fits, self.directory.seconds()
        trainings = tuple(round.imagined.training for round in rounds)
        audits = tuple(round.audit_before for round in rounds if round.audit_before)
        result = RunResult(
            env=self.config.env,
            seed=self.config.seed,
            purchases=Purchases(
                transitions=len(data.transitions),
                reward_labels=len(data.labels),
                real_steps=data.real_steps,
                price_transition=float(self.config.cost_dynamics),
                price_reward_label=float(self.config.cost_reward),
            ),
            fits=fits,
            trainings=trainings,
            diagnosis=diagnosis,
            real_steps_during_imagination=sum(round.real_steps_while_training for round in rounds),
            seconds={stage: seconds[stage] for stage in _STAGES if stage in seconds},
            configuration=settings_shown(self._config_of_last_round(last), self.learner),
            machine=versions.facts(),
            decisions=decisions,
            discount=last.discount,
            rounds=audits,
            indicators=of_rounds(audits),
            warnings=(
                *self.source.repeatability_remarks(),
                *run_warnings(fits, trainings, diagnosis),
            ),
        )
        return write_result(result, self.directory, self.tracker)

    def _config_of_last_round(self, last: Round) -> RunConfig:
        """What the run was asked for, with the settings that its last round had."""
        short = self._short_rounds
        if short is None:
            return self.config
        return dataclasses.replace(
            self.config,
            discount=last.discount.discount,
            learn=short.learn_settings(last.decision.round),
            imagine=last.settings,
        )

    def _imagine_settings(self, bought: Dataset, data: Dataset) -> ImagineSettings:
        """How the policy is trained; in short rounds it depends on what a round bought, in the last
        one on all `data`.
        """
        if self._short_rounds is None:
            return self.config.imagine
        learner = cast("Learner", self.learner)
        count = len(bought.transitions)
        return self._short_rounds.imagine_settings(count, data, learner, self.source.action)

    def _progress_of(self, stage: str, round: int | None = None) -> Callable[..., None]:
        """The progress of a stage: told done, total and a word; `round` is None if the run has the
        stage once.
        """
        name = stage if round is None else stage + self._round_suffix(round)
        return lambda done, total, word="": self.progress(name, done, total, word)

    def _round_suffix(self, round: int) -> str:
        """What follows a stage's name in progress: which round it is of."""
        if self._short_rounds is not None:
            return f" (round {round + 1})"
        if round == self.config.rounds:
            return " of what to buy next"
        return f" (round {round + 1} of {self.config.rounds})" if self.config.rounds > 1 else ""
