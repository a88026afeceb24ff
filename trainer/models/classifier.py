"""The classifier: a backbone, an embedding and class scores."""

from __future__ import annotations

import difflib
import inspect
import warnings

import keras

from trainer.config import ModelConfig
from trainer.models.blocks import batch_norm, conv_norm
from trainer.strict import ConfigError

TINY = "tiny"

#: Classes of keras.applications that cannot stand behind our denoiser, and why.
_UNFIT = {
    **{
        f"EfficientNetB{i}": "scales its input by 1/255 inside, and ours is normalised already"
        for i in range(8)
    },
    **{
        f"NASNet{size}": "needs an image size that is fixed when it is built"
        for size in ("Large", "Mobile")
    },
}


def build_classifier(config: ModelConfig, n_classes: int) -> keras.Model:
    """Normalised image [B, H, W, C] -> dict(embedding [B, D], logits [B, K]), both float32.

    The embedding is normalised over the minibatch: where that is one plate, a shift that all
    its wells share is taken out.

    Parameters
    ----------
    config
        Backbone and sizes.
    n_classes
        K.

    Raises
    ------
    ConfigError
        A backbone that keras.applications does not have (the nearest known one is named)
        or that does not fit behind the denoiser.
    """
    image_BHWC = keras.Input((None, None, config.n_channels), name="image")
    features_BHWC = _backbone(config)(image_BHWC)
    # The heads run in float32: their cost is nothing, and metrics are read off them.
    x_BD = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pool")(features_BHWC)
    x_BD = keras.layers.Dense(
        config.embedding_dim, use_bias=False, dtype="float32", name="embedding_dense"
    )(x_BD)
    embedding_BD = batch_norm("embedding", dtype="float32")(x_BD)
    x_BD = keras.layers.Dropout(config.dropout, dtype="float32", name="dropout")(embedding_BD)
    logits_BK = keras.layers.Dense(n_classes, dtype="float32", name="logits")(x_BD)
    outputs = {"embedding": embedding_BD, "logits": logits_BK}
    return keras.Model(image_BHWC, outputs, name="classifier")


def backbone_names() -> list[str]:
    """Every name that ``model.backbone`` accepts."""
    applications = (
        name
        for name, member in inspect.getmembers(keras.applications, inspect.isfunction)
        if name not in _UNFIT
    )
    return [TINY, *applications]


def _backbone(config: ModelConfig) -> keras.Model:
    known = backbone_names()
    if config.backbone in _UNFIT:
        raise ConfigError(
            f"model.backbone = {config.backbone!r} {_UNFIT[config.backbone]}; "
            "take another, such as 'EfficientNetV2B0'"
        )
    if config.backbone not in known:
        near = difflib.get_close_matches(config.backbone, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        raise ConfigError(f"unknown model.backbone: {config.backbone!r} ({hint})")
    if config.backbone == TINY:
        return _tiny_backbone(config)
    application = getattr(keras.applications, config.backbone)
    extra = {}
    if "include_preprocessing" in inspect.signature(application).parameters:
        extra["include_preprocessing"] = False
    with warnings.catch_warnings():
        # Channels other than 1 or 3 matter to pretrained weights, and there are none.
        warnings.filterwarnings("ignore", "This model usually expects", UserWarning)
        return application(
            include_top=False,
            weights=None,
            input_shape=(None, None, config.n_channels),
            **extra,
        )


def _tiny_backbone(config: ModelConfig) -> keras.Model:
    """Each stage halves the image and then looks once more: for CPUs and 64 px images."""
    image_BHWC = keras.Input((None, None, config.n_channels), name="image")
    x = image_BHWC
    for stage, width in enumerate(config.tiny_widths):
        x = conv_norm(x, width, f"stage{stage}_stride", stride=2)
        x = conv_norm(x, width, f"stage{stage}_conv")
    return keras.Model(image_BHWC, x, name="backbone")
