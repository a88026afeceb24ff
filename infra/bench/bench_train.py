"""`make bench-train`: training at real size on the device at hand; prints a table.

Each row trains a preset in one precision on 512 x 512 x 6 sites read from files by the trainer's
own feed; the first steps, which compile, are left out. Work a site is three times the operations
of a forward pass, as TensorFlow's profiler counts them. Its share is of what a large matrix
product reaches on the same device in the same precision (float32 on a GPU: TF32).
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sites import N_CHANNELS, site_images, write_feed

if TYPE_CHECKING:
    from trainer.config import TrainerConfig

N_CLASSES = 1_108
#: Steps before the clock starts: the first compiles, the next fill queues.
WARM_UP_STEPS = 3
_COLUMNS = "{:8} {:15} {:>9} {:>8} {:>8} {:>10} {:>12} {:>10} {:>9}"
_TRAINING_PASSES = 3.0


def main() -> int:
    """Measure every preset in every precision that was asked for."""
    parser = argparse.ArgumentParser(prog="make bench-train", description=__doc__)
    parser.add_argument("--presets", default="base,full", help="default: %(default)s")
    parser.add_argument("--precisions", default="float32,mixed_bfloat16", help="default: both")
    parser.add_argument("--minibatch", type=int, default=0, help="sites (default: the preset's)")
    parser.add_argument("--steps", type=int, default=40, help="that are timed (default: 40)")
    args = parser.parse_args()
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    devices = tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("CPU")
    names = {
        tf.config.experimental.get_device_details(d).get("device_name", "CPU") for d in devices
    }
    print(
        f"TensorFlow {tf.__version__} on {len(devices)} x {', '.join(sorted(names))}; one is used"
    )
    print(
        _COLUMNS.format(
            "preset", "precision", "minibatch", "sites/s", "s/step", "input wait", "GFLOP a site",
            "of matmul", "memory",
        )
    )  # fmt: skip
    for name in args.presets.split(","):
        for precision in args.precisions.split(","):
            print(_row(name, precision, args.minibatch, args.steps), flush=True)
    return 0


def _row(name: str, precision: str, minibatch: int, n_steps: int) -> str:
    from trainer.presets import preset

    changes: dict[str, Any] = {"model": {"precision": precision, "n_channels": N_CHANNELS}}
    if minibatch:
        changes["data"] = {"minibatch_size": minibatch}
    config = preset(name, changes)
    sites_per_s, wait_share = _train(config, n_steps)
    gigaflops = _TRAINING_PASSES * _forward_flops(config) / 1e9
    share = gigaflops * 1e9 * sites_per_s / _matmul_flops_per_s(precision)
    return _COLUMNS.format(
        name,
        precision,
        config.data.minibatch_size,
        f"{sites_per_s:.3g}",
        f"{config.data.minibatch_size / sites_per_s:.3g}",
        f"{100 * wait_share:.1f} %",
        f"{gigaflops:.3g}",
        f"{100 * share:.0f} %",
        f"{_peak_gb():.1f} GB",
    )


def _train(config: TrainerConfig, n_steps: int) -> tuple[float, float]:
    """Sites a second, and the share of the time that went by waiting for input."""
    import tensorflow as tf

    from trainer.models.joint import build_model
    from trainer.reporting import Timer
    from trainer.schedule import build_optimizer
    from trainer.step import LOSS, TrainStep, trained_variables

    model = build_model(config.model, N_CLASSES)
    optimizer = build_optimizer(config.optimizer, WARM_UP_STEPS + n_steps)
    optimizer.build(trained_variables(model, config))
    step = TrainStep(tf.distribute.get_strategy(), model, optimizer, config, N_CLASSES)
    with contextlib.suppress(ValueError, RuntimeError):  # a CPU has no such counter
        tf.config.experimental.reset_memory_stats("GPU:0")
    with tempfile.TemporaryDirectory() as folder:
        sites = 2 * config.data.minibatch_size
        feed = write_feed(Path(folder), site_images(), 2, sites, config.data)
        timer = Timer(config.data.minibatch_size)
        n_epochs = -(-(WARM_UP_STEPS + n_steps) // feed.steps_per_epoch)
        minibatches = iter(feed.dataset(n_epochs))
        for i in range(WARM_UP_STEPS + n_steps):
            with timer.waiting():
                element = next(minibatches)
            loss = step(element, i)[LOSS]
            if i + 1 >= WARM_UP_STEPS:
                if i + 1 in (WARM_UP_STEPS, WARM_UP_STEPS + n_steps):
                    float(loss)  # all that was queued on the device is done
                timer.step_done()
    return timer.sites_per_s(), timer.wait_share()


def _forward_flops(config: TrainerConfig) -> float:
    """Of one site, as the network sees it."""
    import tensorflow as tf

    from trainer.models.joint import build_model

    model = build_model(config.model, N_CLASSES)
    size_px = config.model.image_size_px
    shape = tf.TensorSpec((1, size_px, size_px, N_CHANNELS), tf.float32)
    graph = tf.function(model).get_concrete_function(shape).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    counted = tf.compat.v1.profiler.profile(graph, options=options)
    return float(counted.total_float_ops)


def _matmul_flops_per_s(precision: str) -> float:
    """What a product of two large square matrices reaches, best of five."""
    import tensorflow as tf

    side = 8192 if tf.config.list_physical_devices("GPU") else 2048
    matrix = tf.ones((side, side), tf.bfloat16 if "bfloat16" in precision else tf.float32)
    product = tf.function(lambda m: tf.reduce_sum(tf.cast(m @ m, tf.float32)))
    float(product(matrix))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        float(product(matrix))
        seconds.append(time.perf_counter() - start)
    return 2.0 * side**3 / min(seconds)


def _peak_gb() -> float:
    """Largest use so far: of the GPU's memory, or without one of this process's."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    raise SystemExit(main())
