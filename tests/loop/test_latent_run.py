"""Runs that learn their encoder from what they observe."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import paracosm
from paracosm.core.encoder import Window
from paracosm.loop import latents, load
from paracosm.loop.config import RunConfig
from paracosm.loop.filming import film
from paracosm.loop.load import audit_run
from paracosm.loop.runner import Runner
from paracosm.real.verbs import connect
from tests.learning.latent.examples import SPACE, episodes
from tests.loop.small import numbers, small_run

OPTIONS = {
    "env": "paracosm.envs:pixel_pendulum",
    "env_kwargs": '{"size": 12}',
    "horizon": 20,
    "transitions": 300,
    "rounds": 3,
}


@pytest.fixture(autouse=True, scope="module")
def small_encoders():
    base = {"width": 16, "batch": 16, "most_steps": 20, "steps": 3}
    sizes = {"latent": base, "recurrent": {**base, "memory": 6, "stochastic": 2, "features": 8}}
    with pytest.MonkeyPatch.context() as patch:
        for name, kind in list(latents.ENCODER_KINDS.items()):
            small = dataclasses.replace(kind.first_settings, **sizes[name])
            small_kind = kind._replace(first_settings=small, later_settings=small)
            patch.setitem(latents.ENCODER_KINDS, name, small_kind)
        yield


@pytest.fixture(
    scope="module", params=["latent", pytest.param("recurrent", marks=pytest.mark.full)]
)
def finished(request, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param) / "run"
    return out, small_run(out, encoder=request.param, **OPTIONS), request.param


def test_a_run_on_pictures_learns_its_encoder_and_is_audited_on_beliefs(finished):
    out, result, kind = finished
    size = {"latent": 17, "recurrent": 8}[kind]
    imagined = abs(result.diagnosis.gap.predicted.mean)
    assert result.diagnosis.closure < 1e-9 * max(1, imagined)  # barely trained worlds imagine much
    run = paracosm.load(out)
    assert run.episodes.state.shape == (2, 20, size)
    assert run.data.state.shape == (300, size)
    assert run.world.spec.state_size == size
    assert {file.name for file in out.glob("models/encoder-*.json")} == {
        "encoder-0.json",
        "encoder-1.json",
    }
    assert result.seconds["encode"] > 0


def test_what_is_collected_stays_as_it_was_observed(finished):
    out, _, _ = finished
    with np.load(out / "data/round-1.npz") as file:
        assert file["state"].dtype == np.uint8
        assert file["state"].shape == (100, 288)


def test_its_environment_is_seen_through_the_encoder_again(finished):
    out, result, _ = finished
    run = paracosm.load(out, trust=True)
    episodes = run.source().evaluate(run.policy, episodes=2)
    np.testing.assert_allclose(episodes.action, run.episodes.action, atol=1e-5)
    played = connect(run.config.env, run.config.arguments, 20).evaluate(run.observing, episodes=2)
    np.testing.assert_allclose(played.reward, run.episodes.reward, atol=1e-4)
    again = audit_run(run, certify=False, dimensions=False)
    assert again.gap == result.diagnosis.gap


def test_the_learned_encoder_is_read_without_opening_the_environment(finished, monkeypatch):
    run = paracosm.load(finished[0])
    monkeypatch.setattr(load, "observed_source", None)
    assert run.encoder is run.encoder is run.latent_networks.encoder


def test_the_film_is_what_a_decoder_reads(finished):
    out, _, kind = finished
    run = paracosm.load(out, trust=True)
    drawn = film(run, run.result.diagnosis)
    if kind == "latent":
        assert "beliefs of the encoder latent, which are no pictures" in drawn.why
        assert drawn.components
        return
    assert drawn.decoded
    assert drawn.real.shape == drawn.imagined.shape == (21, 12, 12, 3)
    np.testing.assert_array_equal(drawn.real[0], drawn.imagined[0])
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "what the world&#39;s decoder reads" in page


def test_it_resumes_to_the_same_result(finished, tmp_path):
    _, result, kind = finished

    def stop(stage, done, total, word=""):
        if stage == "imagine (round 3 of 3)":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small_run(tmp_path / "run", encoder=kind, progress=stop, **OPTIONS)
    resumed = small_run(tmp_path / "run", encoder=kind, resume=True, **OPTIONS)
    assert numbers(resumed) == numbers(result)


def test_with_a_budget_only_the_last_round_keeps_its_encoder(tmp_path, monkeypatch):
    bought = episodes(500)

    def learned(self, round, name, observed, before):
        encoder = Window(1, SPACE)
        return latents.LearnedEncoder(
            latents.EncoderHeader(observed.real_steps, {}), SimpleNamespace(encoder=encoder)
        )

    monkeypatch.setattr(latents.EncoderLearning, "_learn", learned)
    parts: Any = dict.fromkeys(field.name for field in dataclasses.fields(Runner))
    parts["config"] = RunConfig("E-v0", budget=3e4, rounds=3, encoder="latent")
    parts["source"] = SimpleNamespace(through=lambda encoder: None)
    encoders = Runner(**parts)._encoders
    first = encoders.view(0, bought, None)
    second = encoders.view(1, bought, first)
    third = encoders.view(2, bought.join(bought), second)
    assert second.encoder_changed(first)
    assert not third.encoder_changed(second)


def test_a_known_part_of_beliefs_that_are_not_learned_yet_is_refused(tmp_path):
    with pytest.raises(
        paracosm.ParacosmError, match="both --encoder latent and --reward are given"
    ):
        small_run(tmp_path / "run", encoder="latent", reward="m:f", **OPTIONS)
