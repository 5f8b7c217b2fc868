"""What is known of a policy that was written as a file for use without Paracosm."""

from __future__ import annotations

import dataclasses

from paracosm.core.records.base import Record


@dataclasses.dataclass(frozen=True)
class Exported(Record):
    """A policy's file, held against the policy itself.

    Attributes:
        path: Of the file.
        to: Its format: `onnx`, `numpy` or `torch`.
        policy: The kind of policy.
        encoder: The kind of filter of observations that is inside, None if there is none.
        observation: Shape of an observation.
        carry: Numbers that are carried from step to step, 0 where none are.
        actions: Components of an action, or how many discrete ones there are.
        first_action: The number of the first discrete action, None of continuous ones.
        choices: How many values each choice has where a discrete action is several at once.
        compared: Observations at which file and policy were compared.
        difference: Of continuous actions the largest difference, in the environment's units; of
            discrete ones the share of observations at which they differ.
    """

    path: str
    to: str
    policy: str
    encoder: str | None
    observation: tuple[int, ...]
    carry: int
    actions: int
    first_action: int | None
    compared: int
    difference: float
    choices: tuple[int, ...] = ()
