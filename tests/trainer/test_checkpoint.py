"""Checkpoints survive being cut anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer.checkpoint import Checkpoints


def variables(value: float) -> list[tf.Variable]:
    return [tf.Variable(np.full((50, 3), value, np.float32)), tf.Variable(int(value))]


def saved(folder: Path, steps: tuple[int, ...], keep: int = 3) -> list[tf.Variable]:
    held = variables(0.0)
    checkpoints = Checkpoints(str(folder), held, keep=keep)
    for step in steps:
        held[0].assign(np.full((50, 3), step, np.float32))
        held[1].assign(step)
        checkpoints.save(step, {"history": [step]})
    return held


def test_the_newest_comes_back_with_its_state(tmp_path: Path) -> None:
    saved(tmp_path, (5, 9))
    fresh = variables(1.0)
    state = Checkpoints(str(tmp_path), fresh).restore()
    assert state == {"step": 9, "history": [9]}
    assert fresh[1].numpy() == 9 and (fresh[0].numpy() == 9).all()


def test_nothing_is_touched_where_there_is_none(tmp_path: Path) -> None:
    fresh = variables(1.0)
    checkpoints = Checkpoints(str(tmp_path / "new"), fresh)
    assert checkpoints.restore() is None and checkpoints.newest() == ""
    assert fresh[1].numpy() == 1


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, (1, 2, 10, 11), keep=2)
    names = {path.name.split(".")[0] for path in tmp_path.iterdir()}
    assert names == {"ckpt-10", "ckpt-11"}


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [damage_cut, damage_flip, Path.unlink])
@pytest.mark.parametrize("suffix", [".json", ".index", ".data-00000-of-00001"])
def test_a_damaged_checkpoint_is_skipped_for_the_one_before(tmp_path, damage, suffix) -> None:
    saved(tmp_path, (5, 9))
    damage(tmp_path / f"ckpt-9{suffix}")
    fresh = variables(1.0)
    state = Checkpoints(str(tmp_path), fresh).restore()
    assert state["step"] == 5
    assert fresh[1].numpy() == 5 and (fresh[0].numpy() == 5).all()


def test_a_save_killed_before_its_json_does_not_exist(tmp_path: Path) -> None:
    saved(tmp_path, (5,))
    (tmp_path / "ckpt-9.json.tmp").write_text(json.dumps({"step": 9}))
    (tmp_path / "ckpt-9.data-00000-of-00001").write_bytes(b"half")
    checkpoints = Checkpoints(str(tmp_path), variables(1.0))
    assert checkpoints.steps() == [5]
    assert checkpoints.newest().endswith("ckpt-5")


def test_due_by_steps_and_by_time(tmp_path: Path) -> None:
    held = variables(0.0)
    by_steps = Checkpoints(str(tmp_path), held, every_s=0.0, every_steps=10)
    assert not by_steps.due(9) and by_steps.due(10)
    by_steps.save(10, {})
    assert not by_steps.due(19) and by_steps.due(20)
    assert not Checkpoints(str(tmp_path), held, every_s=0.0).due(10**6)
    by_time = Checkpoints(str(tmp_path), held, every_s=1e-9)
    assert by_time.due(1)
    assert not Checkpoints(str(tmp_path), held, every_s=1e9).due(1)
