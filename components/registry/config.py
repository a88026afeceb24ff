"""How a blessed model enters the Vertex Model Registry."""

from __future__ import annotations

import re
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
    #: Make a new version the one that is meant where none is named.
    make_default: bool = True
    labels: dict[str, str] = field(default_factory=dict)
    #: Container that serves a SavedModel; Google's prebuilt one for TensorFlow, or one's own.
    serving_image: str = "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"
    #: Endpoint to deploy new versions to, ``projects/P/locations/R/endpoints/ID``; empty: none.
    endpoint: str = ""
    endpoint_machine: str = "n1-standard-4"
    #: Machines of the endpoint, fewest and most.
    endpoint_replicas_min: int = 1
    endpoint_replicas_max: int = 2
    #: Share of the endpoint's traffic that goes to the new version, percent; at 100 the versions
    #: before it are taken off the endpoint.
    endpoint_traffic_percent: int = 100

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9_][a-z0-9_-]{0,62}", self.model_id):
            raise ConfigError(
                f"model_id must be up to 63 lower-case letters, digits, _ and -; "
                f"got {self.model_id!r}"
            )
        for alias in self.aliases:
            if not re.fullmatch(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]", alias):
                raise ConfigError(
                    f"aliases: {alias!r} is not an alias: letters, digits and -, a lower-case "
                    "letter first, a letter or digit last"
                )
        if self.endpoint and not re.fullmatch(
            r"projects/[^/]+/locations/[^/]+/endpoints/[^/]+", self.endpoint
        ):
            raise ConfigError(
                f"endpoint must be projects/P/locations/R/endpoints/ID; got {self.endpoint!r}"
            )
        if not 0 <= self.endpoint_traffic_percent <= 100:
            raise ConfigError(
                f"endpoint_traffic_percent must lie in 0..100; got {self.endpoint_traffic_percent}"
            )
        if not 1 <= self.endpoint_replicas_min <= self.endpoint_replicas_max:
            raise ConfigError("endpoint_replicas_min must lie in 1..endpoint_replicas_max")
