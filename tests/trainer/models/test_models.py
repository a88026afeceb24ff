"""The networks: contracts every model keeps, and what each part promises."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.config import LossConfig, ModelConfig
from trainer.losses import charbonnier, joint_loss
from trainer.models import batch_norm_layers, build_model
from trainer.models.blocks import DepthToSpace, SpaceToDepth
from trainer.models.classifier import backbone_names
from trainer.models.denoiser import build_denoiser, denoiser_multiple_px
from trainer.presets import preset
from trainer.strict import ConfigError

TINY = preset("tiny").model
RNG = np.random.default_rng(11)


def images(n: int = 4, side_px: int = 64, n_channels: int = 6) -> tf.Tensor:
    return tf.constant(RNG.normal(size=(n, side_px, side_px, n_channels)), tf.float32)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"denoiser": False},
        {"precision": "mixed_bfloat16"},
        {"n_channels": 3},
        {"space_to_depth": 4, "denoiser_widths": (8,)},
        {"denoiser_widths": (8, 12, 16)},
        pytest.param(
            {"backbone": "MobileNetV3Small", "precision": "mixed_bfloat16"},
            marks=pytest.mark.thorough,
        ),
    ],
    ids=str,
)
def test_every_model_keeps_the_contract(fields: dict, tmp_path) -> None:
    config = dataclasses.replace(TINY, **fields)
    keras.utils.set_random_seed(1)
    model = build_model(config, 10)
    image = images(n_channels=config.n_channels)
    outputs = model(image, training=False)
    assert set(outputs) == {"denoised", "embedding", "logits"}
    assert outputs["denoised"].shape == image.shape
    assert outputs["embedding"].shape == (4, config.embedding_dim)
    assert outputs["logits"].shape == (4, 10)
    assert all(o.dtype == tf.float32 for o in outputs.values())
    assert all(v.dtype == "float32" for v in model.weights if "seed" not in v.path)
    assert all(not layer.synchronized for layer in batch_norm_layers(model))
    assert keras.config.dtype_policy().name == "float32"  # put back

    path = str(tmp_path / "model.weights.h5")
    for variable in model.variables:  # away from what a fresh model has
        if variable.dtype == "float32":
            variable.assign(variable + 0.01 * RNG.normal(size=variable.shape))
    expected = model(image, training=False)
    model.save_weights(path)
    keras.backend.clear_session()  # other layer names, as in another process
    rebuilt = build_model(config, 10)
    rebuilt.load_weights(path)
    for name, output in rebuilt(image, training=False).items():
        np.testing.assert_array_equal(output, expected[name], err_msg=name)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_an_untrained_denoiser_returns_its_input_exactly(precision: str) -> None:
    model = build_model(dataclasses.replace(TINY, precision=precision), 3)
    image = images()
    np.testing.assert_array_equal(model(image)["denoised"], image)


def test_the_denoiser_has_no_normalisation_layers() -> None:
    denoiser = build_denoiser(preset("full").model)
    assert not batch_norm_layers(denoiser)
    assert not [x for x in denoiser._flatten_layers() if "Normalization" in type(x).__name__]


def test_the_denoisers_answer_does_not_depend_on_its_neighbours() -> None:
    denoiser = build_model(TINY, 3).get_layer("denoiser")
    for variable in denoiser.trainable_variables:
        variable.assign(variable + 0.05 * RNG.normal(size=variable.shape))
    image = images()
    together = denoiser(image, training=True)[:1]
    np.testing.assert_allclose(together, denoiser(image[:1], training=True), atol=1e-5)


def test_parameter_counts_of_the_presets() -> None:
    def denoiser(name: str) -> int:
        return build_denoiser(preset(name).model).count_params()

    assert denoiser("tiny") < 40_000
    assert 0.7e6 < denoiser("base") < 1.2e6
    assert 1.2e6 < denoiser("full") < 2.0e6


def test_images_of_other_sizes_pass_in_multiples() -> None:
    model = build_model(TINY, 3)
    side_px = 64 + denoiser_multiple_px(TINY)
    assert model(images(2, side_px))["denoised"].shape == (2, side_px, side_px, 6)
    assert denoiser_multiple_px(dataclasses.replace(TINY, denoiser=False)) == 1


def test_space_to_depth_and_back() -> None:
    image = images(2, 8, 3)
    folded = SpaceToDepth(4)(image)
    assert folded.shape == (2, 2, 2, 48)
    np.testing.assert_array_equal(DepthToSpace(4)(folded), image)
    symbolic = DepthToSpace(4)(SpaceToDepth(4)(keras.Input((8, 8, 3))))
    assert symbolic.shape == (None, 8, 8, 3)
    assert SpaceToDepth.from_config(SpaceToDepth(4).get_config()).factor == 4


def test_batch_norm_layers_come_in_a_fixed_order() -> None:
    first, second = (batch_norm_layers(build_model(TINY, 3)) for _ in range(2))
    assert len(first) == 2 * len(TINY.tiny_widths) + 1
    assert [x.name for x in first] == [x.name for x in second]


def test_minibatch_statistics_take_out_a_shift_that_a_plate_shares() -> None:
    model = build_model(dataclasses.replace(TINY, denoiser=False, dropout=0.0), 3)
    image = images(8)
    plain = model(image, training=True)["embedding"]
    shifted = model(image * 1.5, training=True)["embedding"]
    unadapted = model(image * 1.5, training=False)["embedding"] - model(image)["embedding"]
    assert np.abs(shifted - plain).mean() < 0.25 * np.abs(unadapted).mean()


def test_unknown_backbones_name_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"'EficientNetV2S'.*did you mean 'EfficientNetV2S'"):
        build_model(dataclasses.replace(TINY, backbone="EficientNetV2S"), 3)
    for name, reason in {"EfficientNetB0": "scales its input", "NASNetMobile": "fixed"}.items():
        with pytest.raises(ConfigError, match=reason):
            build_model(dataclasses.replace(TINY, backbone=name), 3)
        assert name not in backbone_names()
    assert {"tiny", "ResNet50", "EfficientNetV2S"} <= set(backbone_names())


def test_fewer_than_two_classes_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 2 classes, got 1"):
        build_model(TINY, 1)


#: The smallest of each family of keras.applications.
FAMILIES = (
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetV2B0",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "Xception",
)


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_backbones_takes_six_channels(name: str) -> None:
    config = dataclasses.replace(TINY, denoiser=False, backbone=name, image_size_px=96)
    outputs = build_model(config, 3)(images(1, 96), training=False)
    assert np.isfinite(outputs["logits"]).all()
    keras.backend.clear_session()


@pytest.mark.parametrize("jit", [False, True])
def test_training_learns_to_denoise_and_to_classify(jit: bool) -> None:
    keras.utils.set_random_seed(3)
    config = ModelConfig(
        image_size_px=16,
        denoiser_widths=(32, 32),
        backbone="tiny",
        tiny_widths=(16,),
        embedding_dim=16,
        dropout=0.0,
    )
    model = build_model(config, 2)
    optimizer = keras.optimizers.Adam(3e-3)
    optimizer.build(model.trainable_variables)
    labels = RNG.integers(0, 2, 32)
    ramp = np.linspace(-1, 1, 16)
    # Class 0 is a horizontal ramp, class 1 a vertical one; the same in every channel, so
    # that looking at neighbours and at other channels both help against the noise.
    patterns = np.stack([np.tile(ramp, (16, 1)), np.tile(ramp[:, None], (1, 16))])
    clean = tf.constant(np.repeat(patterns[labels][..., None], 6, -1), tf.float32)
    loss_config = LossConfig(classification=0.1, reconstruction=1.0)

    @tf.function(jit_compile=jit)
    def step(seed: tf.Tensor) -> None:
        noisy = clean + tf.random.stateless_normal(clean.shape, seed, stddev=0.7)
        with tf.GradientTape() as tape:
            outputs = model(noisy, training=True)
            loss, _ = joint_loss(outputs, tf.one_hot(labels, 2), clean, loss_config)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    for i in range(100):
        step(tf.constant([0, i]))
    unseen = clean + tf.random.stateless_normal(clean.shape, (1, 0), stddev=0.7)
    outputs = model(unseen, training=True)
    assert np.mean(np.argmax(outputs["logits"], 1) == labels) > 0.95
    assert charbonnier(outputs["denoised"], clean) < 0.75 * charbonnier(unseen, clean)


@pytest.mark.parametrize(
    "fields",
    [
        {"denoiser_widths": ()},
        {"denoiser_widths": (16, 0)},
        {"tiny_widths": ()},
        {"space_to_depth": 0},
        {"embedding_dim": 0},
        {"n_channels": 0},
    ],
    ids=str,
)
def test_sizes_that_make_no_sense_are_refused(fields: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        ModelConfig(**fields)


def test_the_classifier_teaches_the_denoiser_by_the_configured_share() -> None:
    """Gradients of the logits in the denoiser scale with ``task_gradient_share``."""
    noisy_BHWC = np.random.default_rng(0).normal(size=(4, 16, 16, 6)).astype(np.float32)

    def gradient(share: float) -> np.ndarray:
        keras.utils.set_random_seed(7)
        config = ModelConfig(
            image_size_px=16,
            denoiser_widths=(4, 4),
            backbone="tiny",
            tiny_widths=(4, 4),
            embedding_dim=4,
            task_gradient_share=share,
        )
        model = build_model(config, 3)
        kernel = model.get_layer("denoiser").get_layer("residual").kernel
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(noisy_BHWC, training=False)["logits"] ** 2)
        return tape.gradient(loss, kernel.value).numpy()

    whole = gradient(1.0)
    assert np.abs(whole).max() > 0
    np.testing.assert_allclose(gradient(0.25), 0.25 * whole, rtol=1e-4, atol=1e-9)
    np.testing.assert_array_equal(gradient(0.0), 0.0)
