"""The whole job: rounds of collect, learn, imagine; then evaluate, audit, report. Every stage can
be resumed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Unpack, cast

from paracosm.auditing.plausibility import RANDOM, RECORDED, reference
from paracosm.core import files
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.keys import stage_key
from paracosm.core.learned import Learned
from paracosm.core.learner import Learner, Problem
from paracosm.core.mdp import MDP, Spec
from paracosm.core.policy import Noisy, Policy, markov
from paracosm.core.progress import Progress, silent
from paracosm.core.records import Diagnosis, Weights
from paracosm.core.records.decisions import Bought, Curve, Decision
from paracosm.core.records.discount import DiscountChoice
from paracosm.core.records.results import Purchases, RunResult
from paracosm.core.records.rounds import RoundAudit
from paracosm.core.tracking import Tracker
from paracosm.imagination.caution import Caution
from paracosm.imagination.earlier import Earlier, choose_training
from paracosm.imagination.imagine import Imagined, ImagineSettings, imagine, problem_of
from paracosm.imagination.planners import Planner
from paracosm.imagination.planning import place_planner
from paracosm.learning.learn import LearnSettings, learn
from paracosm.loop import store, trajectories, versions
from paracosm.loop.auditing import OF_PLANNERS, audit, with_next_step
from paracosm.loop.collecting import collected
from paracosm.loop.config import LEARNED_ENCODERS, RunConfig, RunOptions
from paracosm.loop.directory import RunDirectory, default_out, refuse_data_inside, require_free
from paracosm.loop.discounts import discount_choice
from paracosm.loop.filming import write_report
from paracosm.loop.following import Following
from paracosm.loop.indicators import of_rounds
from paracosm.loop.latents import EncoderLearning
from paracosm.loop.named_parts import (
    caution_of,
    check_kinds,
    demand_planner,
    known_part,
    learner_of,
    owned_data,
    planner_of,
    require_derivative,
    settings_shown,
    source_of,
    used_data,
)
from paracosm.loop.numbers import along, counts, errors, purchase, terms
from paracosm.loop.partial_training import PartialTraining
from paracosm.loop.round_stage import audit_stage, tells
from paracosm.loop.rounds import CarriedOn, Round, carried_on
from paracosm.loop.short_rounds import (
    ShortRounds,
    episode_return,
    goes_on,
    of_round,
    refuse_ignored,
    with_learner,
)
from paracosm.loop.spending import Purse, curves_of, imagined_weights
from paracosm.loop.warnings import warnings_of
from paracosm.real import datasets
from paracosm.real.source import Source

_STAGES = ("collect", "encode", "plan", "learn", "imagine", "evaluate", "audit")


def run(
    env: str,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    learn_settings: LearnSettings | None = None,
    imagine_settings: ImagineSettings | None = None,
    progress: Progress = silent,
    tracker: Tracker | Callable[[], Tracker] | None = None,
    **options: Unpack[RunOptions],
) -> RunResult:
    """From a real environment to a policy trained in imagination, with the gap explained.

    Args:
        env: A Gymnasium id or `module:function`.
        out: The run directory; `runs/ENV-seedN` if none.
        resume: Go on with the run that is in `out`; finished stages are kept.
        force: Start again, removing the run that is in `out`.
        learn_settings, imagine_settings: How parts are fitted and how the policy is trained.
        progress: Told how far each stage is.
        tracker: Takes the numbers of the stages as they come, and is closed at the end; where it
            fails, the run goes on. What makes one is called when everything else has been checked.
        options: Fields of `RunConfig`.

    Raises:
        ParacosmError: bad input; the message is one sentence.
        Unwritten: the run is done, but not all of it could be written; the error's `result` holds
            what it found.
    """
    with Following(tracker) as following:
        check_kinds(tracker, learn_settings, imagine_settings, options)
        config = RunConfig(
            env,
            **options,
            learn=learn_settings or LearnSettings(),
            imagine=imagine_settings or ImagineSettings(),
        )
        config = with_learner(config)
        place = files.as_path("--out", default_out(env, config.seed) if out is None else out)
        if config.data is not None:
            refuse_data_inside(Path(config.data), place)
        settings = {**config.to_dict(), "machine": versions.facts()}
        require_free(place, settings, resume=resume, force=force)
        source = source_of(config)
        known = {
            part: known_part(part, getattr(config, part), source)
            for part in ("reward", "termination")
        }
        learner = learner_of(config.learner, config.imagine)
        caution = caution_of(config.caution, learner)
        planner = None if config.planner is None else planner_of(config.planner)
        if planner is not None:
            demand_planner(planner, source)
        if goes_on(learner):
            refuse_ignored(config)
            require_derivative(known["reward"], config.reward, source)
        owned = None if config.data is None else owned_data(config, source)
        following.begin(place, settings, resume=resume)
        with RunDirectory.create(place, settings, resume=resume, force=force) as directory:
            following.remember(directory)
            policies = (learner, caution, planner)
            job = _Runner(config, source, owned, known, *policies, directory, progress, following)
            try:
                return job.finish()
            except Exception:
                directory.discard_if_empty_handed(real_steps=source.steps)
                raise


@dataclasses.dataclass
class _Runner:
    config: RunConfig
    source: Source
    owned: Dataset | None
    known: dict[str, Callable | None]
    learner: Learner | None
    caution: Caution
    planner: Callable[[MDP], Planner] | None
    directory: RunDirectory
    progress: Progress
    tracker: Following

    def finish(self) -> RunResult:
        rounds = [self._round(self._first_decision(), None)]
        first = rounds[0].data.real_steps
        while (decision := self._next_decision(rounds[-1])) is not None:
            following = self._round(decision, rounds[-1])
            rounds = [*rounds[:-1], rounds[-1].without_rows(), following]
        last = rounds[-1]
        if self.planner is None:
            with self.directory.attempt():
                store.save_policy(self.directory.file("policy"), last.imagined.policy)
        episodes = self._evaluate(last.seen.source, last.imagined.policy)
        self.tracker.log("evaluate", 0, {"real_return": float(episodes.reward.sum(axis=1).mean())})
        diagnosis = self._audit(last.data.first(first), last, episodes)
        self.tracker.log("audit", 0, terms(diagnosis))
        purse, decisions = self.config.purse(), [past.decision for past in rounds]
        if purse is not None:
            decisions.append(self._plan(self.config.rounds, purse, last, diagnosis.weights))
        return self._report(rounds, diagnosis, () if purse is None else tuple(decisions))

    @property
    def _encoders(self) -> EncoderLearning:
        """What learns the encoder, if this run has one of its own."""
        config, (transitions, _) = self.config, self.config.counts()
        kind = config.encoder if config.encoder in LEARNED_ENCODERS else None
        return EncoderLearning(self.source, self.directory, config.seed, transitions, kind)

    @property
    def _short(self) -> ShortRounds | None:
        """How the learner goes on from round to round, None if it starts anew in each."""
        if not goes_on(self.learner):
            return None
        counts_of_all = self.config.counts()
        if self.owned is not None:
            used = used_data(self.owned, self.config)
            counts_of_all = (used.real_steps, len(used.labels))
        return ShortRounds(*counts_of_all, self.source.horizon)

    def _round(self, decision: Decision, before: Round | None) -> Round:
        number, short = decision.round, self._short
        purchase = self._collect(decision, before)
        encoders = self._encoders
        if encoders.kind is not None:
            self.progress("encode" + self._of(number), 0, 1)
        seen = encoders.seen(number, purchase, before and before.seen)
        anew = before is not None and seen.networks is not before.seen.networks
        if seen.networks is not None and (before is None or anew):
            self.tracker.log("encode", number, seen.losses)
        data, spec = seen.data, seen.spec(before and before.spec, before and before.seen)
        bought = purchase if before is None else before.seen.states(purchase)
        self.tracker.log("collect", number, counts(data))
        audited = None if before is None else self._audit_round(before, bought)
        discount = self._discount(data) if before is None else before.discount
        learned = self._learn(number, data, spec, discount.discount, before)
        self.tracker.log("learn", number, errors(learned))
        stepped = self.source.steps
        settings, carried = self.config.imagine, CarriedOn()
        if short is not None:
            settings = self._imagine_settings(short, bought)
            brought = episode_return(bought, self.source.horizon)
            carried = carried_on(short, before, data, learned, brought=brought, anew=anew)
        trained = 0 if before is None else before.trained
        imagined = self._imagine(
            number,
            data,
            learned,
            settings=settings,
            state=carried.state,
            earlier=carried.earlier,
            explores=carried.explores,
            trained=trained,
        )
        trained += settings.most_steps
        stepped = self.source.steps - stepped
        return Round(
            decision=decision,
            seen=seen,
            returns=carried.returns,
            spec=spec,
            discount=discount,
            learned=learned,
            imagined=imagined,
            explores=carried.explores,
            tried=carried.tried,
            best=carried.best,
            trained=trained,
            stepped=stepped,
            audit_before=audited,
        )

    def _first_decision(self) -> Decision:
        """What to buy in the first round."""
        purse, short = self.config.purse(), self._short
        if purse is not None:
            pilot = purse.pilot()
            self.tracker.log("plan", 0, purchase(pilot))
            return pilot
        first = None if short is None else short.decision(0, 0)
        return first or Decision(0, *self.config.shares()[0], None, "")

    def _next_decision(self, before: Round) -> Decision | None:
        """What to buy in the next round, None after the last one."""
        number, short = before.decision.round + 1, self._short
        if short is not None:
            return short.decision(number, before.data.real_steps)
        if number == self.config.rounds:
            return None
        purse = self.config.purse()
        if purse is not None:
            return self._plan(number, purse, before, ())
        return Decision(number, *self.config.shares()[number], None, "")

    def _plan(
        self, round: int, purse: Purse, before: Round, realised: tuple[Weights, ...]
    ) -> Decision:
        """What to buy next.

        Args:
            round: The round that it is for.
            purse: What is left to spend.
            before: The round before.
            realised: Weights that an audit found; imagined ones are taken if there are none.
        """
        file = f"plan-{round}.json"
        self.progress("plan" + self._of(round), 0, 1)

        data, seed = before.data, self.config.seed

        def known() -> tuple[dict[Bought, Curve], tuple[Weights, ...]]:
            policy = markov(before.imagined.policy)
            weights = realised or imagined_weights(
                data, before.learned, policy, seed=seed, round=round
            )
            return curves_of(data, before.spec, seed=seed, settings=self.config.learn), weights

        def decide() -> Decision:
            if before.learned.fits["reward"].origin == "constant":
                return purse.transitions_only(round, data)
            return purse.decide(round, data, known, seed)

        decision: Decision = self.directory.stage(
            f"plan-{round}",
            decide,
            lambda decision: self.directory.write(file, decision.to_json()),
            lambda: files.read_record(Decision, self.directory.file(file)),
        )
        self.tracker.log("plan", round, purchase(decision))
        return decision

    def _collect(self, decision: Decision, before: Round | None) -> Dataset:
        round = decision.round
        file = self.directory.file(f"data/round-{round}.npz")

        def save(bought: Dataset) -> None:
            datasets.save(bought, file)
            self._partial.unlink(missing_ok=True)

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

    @property
    def _partial(self) -> Path:
        """Where the steps of a collection that stopped are kept for the resumed run."""
        return self.directory.file("data/partial.npz")

    def _buy(self, decision: Decision, before: Round | None) -> Dataset:
        """Collect a round's steps, after those that a failure or Ctrl-C left behind."""
        steps, first, explorer = max(decision.transitions, decision.labels), 0, None
        short, seed = self._short, self.config.seed + decision.round
        if before is not None:
            first = int(before.data.episode.max()) + 1
            explorer = before.seen.acting(self._explorer(before))
        whole, owned = {}, 0 if before is None else before.data.real_steps
        if short is not None:
            whole = {"lanes": 1, "spare": short.spare(decision, owned)}

        rows = collected(
            self.source,
            steps,
            self._partial,
            policy=explorer,
            progress=self._tell("collect", decision.round),
            seed=self.config.seed,
            first_episode=first,
            workers=self.config.workers,
            **whole,
        )
        if short is not None:
            return short.bought(rows, owned, seed)
        return rows.buy(decision.transitions, decision.labels, seed)

    def _explorer(self, before: Round) -> Policy:
        """What collects the data of the round after."""
        policy = before.imagined.policy
        goes_on = self._short is not None
        return policy if goes_on else Noisy(policy, self.source.action, self.config.noise)

    def _audit_round(self, before: Round, bought: Dataset) -> RoundAudit | None:
        """What a purchase says of the round whose policy collected it, None if it can say
        nothing.
        """
        round, imagined = before.decision.round, before.imagined
        if not tells(bought, self.source.horizon, imagined.policy):
            return None
        self.progress("audit" + self._of(round), 0, 1)
        counted = {"round": round, "transitions": len(before.data.transitions)}
        explorer, options = self._explorer(before), {"seed": self.config.seed, **counted}
        audit = audit_stage(self.directory, before.learned, imagined, explorer, bought, **options)
        self.tracker.log("round", audit.transitions, along(audit))
        return audit

    def _discount(self, first: Dataset) -> DiscountChoice:
        """The discount of training, by the first purchase unless one is given."""
        horizon, rollouts = self.source.horizon, None
        if self._short is None and self.planner is None:
            rollouts = min(self.config.imagine.horizon, horizon)
        given = self.config.discount
        return discount_choice(given, horizon, first, rollouts=rollouts)

    def _learn(
        self, round: int, data: Dataset, spec: Spec, discount: float, before: Round | None
    ) -> Learned:
        """The world of this round, fitted anew or on from that of the round before.

        Args:
            round: The round.
            data, spec, discount: What it is learned from, and the discount of training.
            before: The round before.
        """
        short, settings, old = self._short, self.config.learn, None
        if short is not None:
            settings, old = short.learn_settings(round), before and before.learned
        file = self.directory.file(f"models/world-{round}")
        self.progress("learn" + self._of(round), 0, 1)
        return self.directory.stage(
            f"learn-{round}",
            lambda: learn(
                data,
                spec,
                discount=discount,
                seed=self.config.seed,
                round=round,
                settings=settings,
                reward=self.known["reward"],
                termination=self.known["termination"],
                before=old,
            ),
            lambda learned: store.save_world(file, learned),
            lambda: store.load_world(file, **self.known),
        )

    def _imagine(
        self,
        round: int,
        data: Dataset,
        learned: Learned,
        *,
        settings: ImagineSettings,
        state: Any,
        earlier: Earlier | None,
        explores: bool,
        trained: int,
    ) -> Imagined:
        """The policy of this round; a new one unless its learner goes on: one that an early, bad
        world led astray can be a trap.

        Args:
            round: The round.
            data, learned: Where it is trained.
            settings: How long.
            state: Where the learner goes on, None if it starts anew.
            earlier: The best policy of the rounds before, None if there is none.
            explores: Whether the policy may look for what is unknown.
            trained: Training steps, at the most, of the rounds before.
        """
        if self.planner is not None:
            return place_planner(self.planner, learned, data, self.caution)
        file = self.directory.file(f"models/policy-{round}")
        tell, partial = self._tell("imagine", round), PartialTraining(self.directory, round)

        def follow(done: int, most: int, numbers: Mapping[str, float]) -> None:
            tell(done, most, f"imagined return {numbers['imagined_return']:.1f}")
            self.tracker.log("imagine", trained + done, numbers)

        def problem() -> Problem:
            options = {"seed": self.config.seed, "round": round, "caution": self.caution}
            return problem_of(learned, data, settings=settings, **options)

        def train() -> Imagined:
            imagined = imagine(
                learned,
                data,
                learner=self.learner,
                seed=self.config.seed,
                round=round,
                settings=settings,
                state=state,
                explore=explores,
                caution=self.caution,
                store=partial,
                progress=follow,
            )
            if self._short is None:
                return imagined
            imagined = of_round(imagined)
            if earlier is None:
                return imagined
            key = stage_key(self.config.seed, "earlier", round)
            return choose_training(imagined, earlier, key)

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
        file = self.directory.file("data/evaluation.npz")
        return self.directory.stage(
            "evaluate",
            lambda: source.evaluate(
                policy, episodes=self.config.episodes, progress=self._tell("evaluate")
            ),
            lambda episodes: trajectories.save(file, episodes),
            lambda: trajectories.load(file),
        )

    def _audit(self, first: Dataset, last: Round, episodes: Trajectory) -> Diagnosis:
        self.progress("audit", 0, 1)
        world, imagined = last.learned.world, last.imagined
        origin = RANDOM if self.owned is None else RECORDED
        known = reference(first, last.spec.horizon, origin, last.learned.given)
        options: dict[str, Any] = {"known": known, "seed": self.config.seed, "certify": False}
        trained = imagined if self.planner is None else None
        options |= OF_PLANNERS if self.planner else {}
        return self.directory.stage(
            "audit",
            lambda: with_next_step(
                audit(world, imagined.policy, episodes, trained, **options), last.learned.fits
            ),
            lambda diagnosis: self.directory.write("audit.json", diagnosis.to_json()),
            lambda: files.read_record(Diagnosis, self.directory.file("audit.json")),
        )

    def _report(
        self, rounds: list[Round], diagnosis: Diagnosis, decisions: tuple[Decision, ...]
    ) -> RunResult:
        data, fits = rounds[-1].data, rounds[-1].learned.fits
        trainings = tuple(round.imagined.training for round in rounds)
        purchases = Purchases(
            len(data.transitions),
            len(data.labels),
            data.real_steps,
            float(self.config.cost_dynamics),
            float(self.config.cost_reward),
        )
        seconds = self.directory.seconds()
        audits = tuple(round.audit_before for round in rounds if round.audit_before)
        result = RunResult(
            env=self.config.env,
            seed=self.config.seed,
            purchases=purchases,
            fits=fits,
            trainings=trainings,
            diagnosis=diagnosis,
            real_steps_during_imagination=sum(round.stepped for round in rounds),
            seconds={stage: seconds[stage] for stage in _STAGES if stage in seconds},
            configuration=settings_shown(self._effective(rounds[-1]), self.learner),
            machine=versions.facts(),
            decisions=decisions,
            discount=rounds[-1].discount,
            rounds=audits,
            indicators=of_rounds(audits),
            warnings=(*self.source.check_repeatability(), *warnings_of(fits, trainings, diagnosis)),
        )
        return self._written(result)

    def _effective(self, last: Round) -> RunConfig:
        """What the run was asked for, with the settings that its last round had."""
        short = self._short
        if short is None:
            return self.config
        return dataclasses.replace(
            self.config,
            discount=last.discount.discount,
            learn=short.learn_settings(last.decision.round),
            imagine=self._imagine_settings(short, last.data),
        )

    def _imagine_settings(self, short: ShortRounds, bought: Dataset) -> ImagineSettings:
        """How long the policy is trained on a purchase, in short rounds."""
        learner = cast("Learner", self.learner)
        return short.imagine_settings(bought, learner, self.source.action)

    def _written(self, result: RunResult) -> RunResult:
        """The result, once it is on the disk; where anything is not, it comes with the refusal.

        Raises:
            Unwritten: a file of the run could not be written.
        """
        with self.directory.attempt():
            self.directory.write("result.json", result.to_json())
        with self.directory.attempt():
            write_report(result, self.directory.path)
        self.tracker.done(self.directory, result)
        if failed := self.directory.unwritten:
            failures = "1 such failure" if len(failed) == 1 else f"{len(failed)} such failures"
            raise files.Unwritten(
                f"{failed[0]} The result is complete, but {failures} left the run directory without"
                " all of it: make room and give --resume, which does again only what is not there.",
                result,
            )
        return result

    def _tell(self, stage: str, round: int | None = None) -> Callable[..., None]:
        """What is told how far a stage is, that of one round or the run's own."""
        name = stage if round is None else stage + self._of(round)
        return lambda done, total, word="": self.progress(name, done, total, word)

    def _of(self, round: int) -> str:
        if self._short is not None:
            return f" (round {round + 1})"
        if round == self.config.rounds:
            return " of what to buy next"
        return f" (round {round + 1} of {self.config.rounds})" if self.config.rounds > 1 else ""
