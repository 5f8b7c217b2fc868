"""The verb `deploy` and the assisted return, on small runs: what they come to and refuse."""

import dataclasses
import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import paracosm
from paracosm.auditing.deployment import ImaginedPair
from paracosm.cli.main import main
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.encoder import Encoder
from paracosm.core.estimators import mean
from paracosm.core.mdp import never
from paracosm.core.records import Diagnosis, Help
from paracosm.core.records.deployment import Deployment, DeploymentVerdict
from paracosm.loop import deploying
from paracosm.loop.assisting import FRESH_SEED, assisted_diagnosis, imagined_twice
from tests.loop.small import small_run


@pytest.fixture(scope="module")
def pair(finished, tmp_path_factory):
    """Two runs of one task, of different seeds."""
    out = tmp_path_factory.mktemp("pair") / "second"
    small_run(out, seed=1)
    return finished[0], out


@pytest.fixture(scope="module")
def deployed(pair):
    """Without the bounds, whose programs take longest to compile and have tests of their own."""
    return paracosm.deploy(*pair, episodes=3, certify=False)


def test_a_deployment_is_of_the_recorded_and_of_further_episodes(pair, deployed):
    old, new = (paracosm.load(path) for path in pair)
    assert deployed.pairs == 5
    assert deployed.paired
    for run, estimate in ((old, deployed.old_return), (new, deployed.new_return)):
        played = run.source().evaluate(run.policy, episodes=3, first_seed=deploying.FURTHER_SEED)
        returns = [*run.episodes.reward.sum(axis=1), *played.reward.sum(axis=1)]
        assert estimate.mean == pytest.approx(np.mean(returns))
    difference = deployed.new_return.mean - deployed.old_return.mean
    assert deployed.episodes.plain.mean == pytest.approx(difference)
    assert deployed.certified is None
    assert deployed.bounds == ()
    assert deployed.next_episode.pairs == 5
    assert deployed.verdict is DeploymentVerdict.NOT_YET or deployed.basis == "episodes"
    assert Deployment.from_json(deployed.to_json()) == deployed


def side_of(returns, steps=200):
    """A run's side of a deployment as far as its intervals need it: a start at 0 and equal costs in
    each of its episodes, beside a recorded reward of 0 and one of -16.
    """
    shape = (len(returns), steps)
    states, no = np.zeros((*shape, 1)), np.zeros(shape, bool)
    reward = np.repeat(np.array(returns)[:, None] / steps, steps, axis=1)
    run = SimpleNamespace(
        data=SimpleNamespace(labels=SimpleNamespace(reward=np.array([0.0, -16.0]))),
        world=SimpleNamespace(termination=never),
        config=SimpleNamespace(env="Pendulum-v1", encoder=None),
        path=Path("run"),
    )
    episodes = Trajectory(states, states, states, reward, no, no, ~no)
    return deploying._RunSide(run, episodes, SimpleNamespace(certificates=(), valid=True))


def test_no_interval_reaches_beyond_what_the_known_rewards_allow():
    old, new = side_of([-3.0, -120.0, -250.0, -700.0]), side_of([-1.0, -130.0, -240.0, -1500.0])
    record = deploying._deployment(old, new, ImaginedPair(*(np.empty(0),) * 4), 0.95)
    assert mean(new.returns).high > 0
    for estimate in (record.old_return, record.new_return):
        assert estimate.low >= -16 * 200
        assert estimate.high <= 0
    assert mean(new.returns - old.returns).low < -16 * 200
    assert record.episodes.value.low >= -16 * 200


def test_a_deployment_is_shown_and_its_page_written(deployed, tmp_path):
    from rich.console import Console

    from paracosm import reporting

    console = Console(width=80, record=True)
    console.print(reporting.summary(deployed))
    text = console.export_text()
    assert "New minus old" in text
    assert max(map(len, text.splitlines())) <= 80
    page = paracosm.report(deployed, tmp_path / "page.html").read_text()
    assert "whatever the distribution" in page
    assert "95% needs 19 pairs" in page


def test_old_and_new_are_two_policies_of_one_task(pair, cart, tmp_path):
    old, new = pair
    with pytest.raises(checks.BadArgument, match="one run"):
        paracosm.deploy(old, f"{old}/.")
    copy = tmp_path / "copy"
    shutil.copytree(old, copy)
    with pytest.raises(checks.BadArgument, match="one and the same"):
        paracosm.deploy(old, copy)
    with pytest.raises(checks.BadArgument, match=r"env Pendulum-v1, .* has CartPole-v1; policies"):
        paracosm.deploy(old, cart[0])
    for options in ({"episodes": -1}, {"level": 1.0}, {"level": 0}):
        with pytest.raises(checks.BadArgument):
            paracosm.deploy(old, new, **options)


class Shifted(Encoder):
    """A belief of the size of the observation, which is not it."""

    def initial(self, observation):
        return observation + 1

    def update(self, state, action, observation):
        return observation + 1


def test_equal_policies_of_different_encoders_are_two(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    old, new = (paracosm.load(path, trust=True) for path in (finished[0], copy))
    named = dataclasses.replace(new.config, encoder="tests.loop.test_deploying:Shifted")
    new.__dict__["config"] = named
    deploying._require_two(old, new)
    old = paracosm.load(old.path, trust=True)  # what a run reads it reads once
    old.__dict__["config"] = named
    with pytest.raises(checks.BadArgument, match="one and the same"):
        deploying._require_two(old, new)


def test_trust_is_asked_for_before_real_steps_are_taken(pair, monkeypatch):
    monkeypatch.setattr(deploying, "_recorded_and_played", None)
    old, new = map(paracosm.load, pair)
    new.__dict__["config"] = dataclasses.replace(new.config, learner="mine:make_learner")
    with pytest.raises(checks.BadArgument, match=r"names code to import, mine:make_learner; trust"):
        paracosm.deploy(old, new, episodes=3)


@pytest.mark.parametrize(
    ("share", "sentence"),
    [
        pytest.param(
            0.02,
            "the episodes of .* are of another policy: 8 of 400 recorded actions are not",
            marks=pytest.mark.full,
        ),
        (1.0, "39. of the 400 recorded actions are not those of the policy"),
    ],
)
def test_episodes_of_another_policy_are_refused(pair, share, sentence):
    run = paracosm.load(pair[0])
    changed = np.arange(400).reshape(run.episodes.alive.shape) < share * 400
    action = np.where(changed[..., None], -run.episodes.action / 2, run.episodes.action)
    run.__dict__["episodes"] = dataclasses.replace(run.episodes, action=action)
    with pytest.raises(checks.BadData, match=sentence):
        paracosm.deploy(run, pair[1])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "--old is not given"),
        (("--old", "here"), "--new is not given"),
        (("--old", "nowhere", "--new", "neither"), "nowhere is no run directory"),
    ],
)
def test_what_the_command_refuses(arguments, sentence, capsys):
    assert main(["deploy", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_the_return_of_a_run_is_assisted_by_fresh_starts(finished):
    run = paracosm.load(finished[0])
    source = run.source()
    episodes = source.evaluate(run.policy, episodes=8)
    steps_before = source.steps
    assisted = paracosm.assisted_return(run.world, run.policy, source, episodes, starts=50)
    assert source.steps == steps_before
    assert (assisted.fresh, assisted.plain.n) == (50, 8)
    assert assisted.plain.mean == pytest.approx(episodes.reward.sum(axis=1).mean())
    assert assisted.help in (Help.HELPED, Help.UNRELATED, Help.NO_GAIN)
    assert -1 <= assisted.correlation <= 1


def test_episodes_of_other_states_are_refused(finished, cart):
    run, cart_run = paracosm.load(finished[0]), paracosm.load(cart[0])
    with pytest.raises(checks.BadData, match="have 4 components; those of Pendulum-v1 have 3"):
        paracosm.assisted_return(run.world, run.policy, run.source(), cart_run.episodes)


def test_a_reward_beside_the_episodes_must_be_finite(finished):
    run = paracosm.load(finished[0])
    rewards = (0.0, float("nan"))
    with pytest.raises(checks.BadData, match="extra_rewards"):
        paracosm.assisted_return(
            run.world, run.policy, run.source(), run.episodes, extra_rewards=rewards
        )


def test_an_audit_of_a_run_holds_the_assisted_return_and_older_audits_load(finished):
    run, result = paracosm.load(finished[0]), finished[1]
    tree = json.loads(result.diagnosis.to_json())
    assert tree.pop("assisted") is None  # as older versions wrote it: without
    for rung in tree["certificates"]:
        rung.pop("episodes")
    older = Diagnosis.from_dict(tree)
    assert older == result.diagnosis
    diagnosis = assisted_diagnosis(run, older)
    assert diagnosis.assisted.help is Help.FEW  # two episodes
    assert diagnosis.assisted.value == older.gap.real
    assert Diagnosis.from_json(diagnosis.to_json()) == diagnosis
    untrusted = dataclasses.replace(run.config, env="my_module:make")
    run.__dict__["config"] = untrusted
    assert assisted_diagnosis(run, older) is older


def test_fresh_seeds_are_apart_from_those_of_evaluations():
    assert 10_000 + 10**5 < deploying.FURTHER_SEED < FRESH_SEED
    assert math.log2(FRESH_SEED) < 32


def _cut(episodes, steps):
    """The same episodes, as an environment records them that cuts each after so many steps."""
    time = np.arange(episodes.alive.shape[1])
    alive = episodes.alive & (time < np.broadcast_to(steps, len(episodes.alive))[:, None])
    return dataclasses.replace(
        episodes,
        alive=alive,
        truncated=alive & (time == alive.sum(axis=1, keepdims=True) - 1),
        reward=np.where(alive, episodes.reward, 0),
    )


def test_episodes_cut_at_different_steps_get_no_help_from_fresh_starts(finished):
    run = paracosm.load(finished[0])
    played = run.source().evaluate(run.policy, episodes=8)
    shorter = _cut(played, [150] * 4 + [200] * 4)
    helped = paracosm.assisted_return(run.world, run.policy, run.source(), shorter, starts=20)
    assert helped.help is Help.NO_STARTS
    assert helped.value == helped.plain


def test_fresh_starts_are_imagined_for_as_long_as_all_episodes_were_recorded(finished):
    run = paracosm.load(finished[0])
    shorter = _cut(run.source().evaluate(run.policy, episodes=4), 20)
    starts = shorter.state[:, 0]
    recorded, fresh = imagined_twice(run.world, run.policy, shorter, starts)
    np.testing.assert_allclose(fresh, recorded)


def test_one_policy_of_which_episodes_are_cut_short_leaves_both_without_fresh_starts(pair):
    sides = []
    for path, steps in zip(pair, (200, [150, 200]), strict=True):
        run = paracosm.load(path)
        sides.append(deploying._RunSide(run, _cut(run.episodes, steps), run.result.diagnosis))
    imagined = deploying._imagined(*sides)
    assert len(imagined.recorded) == 2
    assert len(imagined.fresh) == 0
    deployed = deploying._deployment(*sides, imagined, 0.95)
    assert deployed.episodes.help is Help.NO_STARTS


def test_a_policy_that_is_never_paid_beside_one_that_is(finished):
    """Only the sparse one of the two says where its returns lie; the other's lie elsewhere."""
    run = paracosm.load(finished[0])

    def side(rewards) -> deploying._RunSide:
        state, action = (np.zeros((*rewards.shape, size)) for size in (3, 1))
        ended = np.zeros(rewards.shape, bool)
        episodes = Trajectory(state, action, state, rewards, ended, ended, ~ended)
        return deploying._RunSide(run, episodes, run.result.diagnosis)

    never = side(np.zeros((20, 200)))
    often = side(np.cumsum(np.ones((20, 200)), axis=0) / 10)
    nothing = deploying.ImaginedPair(*(np.empty(0),) * 4)
    deployed = deploying._deployment(never, often, nothing, 0.95)
    assert deployed.old_return.mean == 0
    assert deployed.new_return.mean == deployed.episodes.plain.mean == pytest.approx(210)
    assert deployed.old_return.low < 0, "what was never seen is not excluded"
