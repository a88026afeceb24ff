"""TFX components: artifacts in, artifacts out. Each adapts code of trainer/."""

from __future__ import annotations

_ARTIFACTS = ("BatchEffects", "LeakAudit", "PlatewiseReport", "QualityControl")


def __getattr__(name: str) -> object:
    """Our artifact types, under the names by which a managed pipeline imports them."""
    if name not in _ARTIFACTS:
        raise AttributeError(f"module 'components' has no attribute {name!r}")
    from components import artifacts  # TFX is loaded only where they are asked for

    return getattr(artifacts, name)
