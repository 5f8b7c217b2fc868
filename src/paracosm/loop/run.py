"""The verb `run`: what a run is asked to do is checked, then taken through its stages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Unpack

from paracosm.core import files
from paracosm.core.precision import in_32_bits
from paracosm.core.progress import Progress, silent
from paracosm.core.records.results import RunResult
from paracosm.core.tracking import Tracker
from paracosm.imagination.imagine import ImagineSettings
from paracosm.learning.learn import LearnSettings
from paracosm.loop import versions
from paracosm.loop.config import RunConfig, RunOptions
from paracosm.loop.directory import (
    DATA_CHECKSUM,
    RunDirectory,
    default_out,
    refuse_data_inside,
    require_free,
)
from paracosm.loop.named_parts import (
    caution_of,
    check_kinds,
    checksum_of,
    given_part,
    learner_of,
    owned_data,
    planner_of,
    require_derivative,
    require_members,
    require_noise,
    require_planner,
    source_of,
)
from paracosm.loop.run_tracker import RunTracker
from paracosm.loop.runner import Runner
from paracosm.loop.short_rounds import refuse_ignored, uses_short_rounds, with_learner


@in_32_bits
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
    with RunTracker(tracker) as run_tracker:
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
        given_parts = {
            part: given_part(part, getattr(config, part), source)
            for part in ("reward", "termination")
        }
        learner = learner_of(config.learner, config.imagine)
        caution = caution_of(config.caution, learner)
        make_planner = None if config.planner is None else planner_of(config.planner)
        if make_planner is not None:
            require_planner(make_planner, source)
        if uses_short_rounds(learner):
            refuse_ignored(config)
            require_derivative(given_parts["reward"], config.reward, source)
        else:
            require_noise(config, source.action)
            require_members(caution, config)
        owned = None if config.data is None else owned_data(config, source)
        if owned is not None:
            settings[DATA_CHECKSUM] = checksum_of(owned)
            require_free(place, settings, resume=resume, force=force)
        run_tracker.begin(place, settings, resume=resume)
        with RunDirectory.create(place, settings, resume=resume, force=force) as directory:
            run_tracker.remember(directory)
            runner = Runner(
                config=config,
                source=source,
                owned=owned,
                given_parts=given_parts,
                learner=learner,
                caution=caution,
                make_planner=make_planner,
                directory=directory,
                progress=progress,
                tracker=run_tracker,
            )
            try:
                return runner.run_stages()
            except Exception:
                directory.discard_if_nothing_was_bought(real_steps=source.steps)
                raise
