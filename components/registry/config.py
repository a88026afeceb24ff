"""How a blessed model enters the Vertex Model Registry."""

from __future__ import annotations

from dataclasses import dataclass, field

from trainer.strict import ConfigError


@dataclass(frozen=True)
class RegistryConfig:
    """Model, serving container and endpoint; section ``[vertex.registry]``."""

    #: Upload blessed models; else they are pushed to ``push.folder`` alone.
    upload: bool = True
    #: Id of the one model whose versions these are.
    model_id: str = "platewise"
    #: Aliases that a new version takes over.
    aliases: tuple[str, ...] = ("blessed",)
    labels: dict[str, str] = field(default_factory=dict)
    #: Container that serves a SavedModel; Google's prebuilt one for TensorFlow, or one's own.
    serving_image: str = "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"
    #: Endpoint to deploy new versions to, ``projects/P/locations/R/endpoints/ID``; empty: none.
    endpoint: str = ""
    endpoint_machine: str = "n1-standard-4"
    #: Machines of the endpoint, fewest and most.
    endpoint_replicas_min: int = 1
    endpoint_replicas_max: int = 2
    #: Share of the endpoint's traffic that goes to the new version, percent.
    endpoint_traffic_percent: int = 100

    def __post_init__(self) -> None:
        if not 0 <= self.endpoint_traffic_percent <= 100:
            raise ConfigError(
                f"endpoint_traffic_percent must lie in 0..100; got {self.endpoint_traffic_percent}"
            )
        if not 1 <= self.endpoint_replicas_min <= self.endpoint_replicas_max:
            raise ConfigError("endpoint_replicas_min must lie in 1..endpoint_replicas_max")
