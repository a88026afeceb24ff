"""What a custom job that did not succeed is to be told, and what to do about it."""

from __future__ import annotations

from components.vertex_api import VertexError
from trainer.preemption import EXIT_CODE


class TrainingJobFailed(VertexError):  # noqa: N818  (what happened, not a fault of ours)
    """The custom job ended without a trained model."""


#: Words in the service's message (lower case), and what helps; the first row that fits counts.
_ADVICE: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("resources are insufficient",),
        "The region has none of these machines now, or took the spot machine back. Training goes "
        "on from its last checkpoint when this step is tried again; if it lasts, choose another "
        "region or accelerator, or a reservation (vertex.training.scheduling).",
    ),
    (
        ("stockout",),
        "The machines were taken back or are not to be had now. Training goes on from its last "
        'checkpoint when this step is tried again; without scheduling = "spot" it happens less.',
    ),
    (
        ("preempt",),
        "The machine was taken back. Training goes on from its last checkpoint when this step is "
        'tried again; without scheduling = "spot" it happens less.',
    ),
    (
        ("quota",),
        "The quota is used up: wait until other jobs are done, choose another accelerator or "
        "region, or ask for more under IAM & Admin > Quotas (custom model training).",
    ),
    (
        ("out of memory",),
        "Lower training.data.minibatch_size, switch training.data.cache_in_memory off, or choose "
        "an accelerator on a larger machine.",
    ),
    (
        (f"non-zero status of {EXIT_CODE}",),
        "Training was interrupted again and again. It goes on from its last checkpoint when this "
        "step is tried again.",
    ),
    (
        ("image", "not found"),
        "The image is not there: build and push it first (infra/docker), and compare "
        "vertex.training.image with Artifact Registry.",
    ),
    (
        ("non-zero status",),
        "The trainer's own words are in the job's log.",
    ),
)


def failure(
    name: str, state: str, message: str, said: str, links: str, timeout_h: float
) -> TrainingJobFailed:
    """The error of a job that ended in ``state``.

    Parameters
    ----------
    name
        The job's resource name.
    state
        Such as ``FAILED``.
    message
        The service's own words.
    said
        What the trainer left behind for whoever waits; empty: nothing.
    links
        Where the job and its log are.
    timeout_h
        The longest time that it was given.
    """
    text = " ".join(message.split())
    if said:
        return TrainingJobFailed(f"training failed: {said}\n({name}: {text or state})\n{links}")
    what = f"the training job {name} ended as {state}" + (f": {text}" if text else "")
    return TrainingJobFailed(f"{what}\n{_advice(state, text.lower(), timeout_h)}\n{links}")


def _advice(state: str, text: str, timeout_h: float) -> str:
    for words, what in _ADVICE:
        if all(word in text for word in words):
            return what
    if state == "CANCELLED":
        return (
            f"Somebody cancelled it, or it ran past vertex.training.timeout_h = {timeout_h:g}. "
            "Training goes on from its last checkpoint when this step is tried again."
        )
    if state == "EXPIRED":
        return (
            f"It ran past vertex.training.timeout_h = {timeout_h:g}, or waited past max_wait_h. "
            "Training goes on from its last checkpoint when this step is tried again."
        )
    return "See the job's log."
