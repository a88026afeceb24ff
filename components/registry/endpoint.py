"""A version behind an endpoint, with its share of the traffic."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from components.registry.config import RegistryConfig
from components.registry.versions import Version
from components.vertex_api import VertexError, attempt, readable_errors

logger = logging.getLogger(__name__)

#: In a traffic split: the version that is being deployed.
_NEW = "0"
#: Machines are found, an image is pulled, the model is loaded.
_DEPLOY_TIMEOUT_S = 3600.0


def deploy(
    library: Any, version: Version, config: RegistryConfig, service_account: str = ""
) -> str:
    """Deploy a version to ``config.endpoint``, where it is not there yet.

    Where it takes all of the traffic, the versions before it are taken off: each would cost its
    machines for nothing. The endpoint's replicas and machine are the config's.

    Returns
    -------
    Id of the deployed model.

    Raises
    ------
    VertexError
        No such endpoint, or what the service refused.
    """
    client = library.initializer.global_config.create_client(library.Endpoint.client_class)
    message: dict[str, Any] = {
        "model": version.resource_name,
        "display_name": f"{config.model_id}@{version.number}",
        "dedicated_resources": {
            "machine_spec": {"machine_type": config.endpoint_machine},
            "min_replica_count": config.endpoint_replicas_min,
            "max_replica_count": config.endpoint_replicas_max,
        },
        **({"service_account": service_account} if service_account else {}),
    }

    def find_or_deploy() -> str:
        endpoint = client.get_endpoint(name=config.endpoint)
        for deployed in endpoint.deployed_models:
            if _same_model(deployed.model, version) and deployed.model_version_id == version.number:
                logger.info("%s is deployed on %s", version.resource_name, config.endpoint)
                return str(deployed.id)
        request = {
            "endpoint": config.endpoint,
            "deployed_model": message,
            "traffic_split": split_traffic(
                dict(endpoint.traffic_split), config.endpoint_traffic_percent
            ),
        }
        response = client.deploy_model(request).result(timeout=_DEPLOY_TIMEOUT_S)
        return str(response.deployed_model.id)

    deployed_id = attempt(f"deploy {version.resource_name} to {config.endpoint}", find_or_deploy)
    if config.endpoint_traffic_percent == 100:
        _undeploy_idle(client, config.endpoint, deployed_id)
    return deployed_id


def split_traffic(current: Mapping[str, int], percent: int) -> dict[str, int]:
    """Give the new version its share; the others keep their proportions.

    Parameters
    ----------
    current
        Percent by id of a deployed model.
    percent
        The new version's; 100 where there is no other, whatever was asked for.

    Returns
    -------
    Percent by id, ``"0"`` for the new version; the sum is 100.
    """
    total = sum(current.values())
    if total == 0:
        return {_NEW: 100}
    rest = 100 - percent
    exact = {name: share * rest / total for name, share in current.items()}
    split = {name: int(value) for name, value in exact.items()}
    # What rounding down left over goes to those that it took most from.
    behind = sorted(exact, key=lambda name: (split[name] - exact[name], name))
    for name in behind[: rest - sum(split.values())]:
        split[name] += 1
    return {_NEW: percent, **split}


def _undeploy_idle(client: Any, endpoint: str, keep: str) -> None:
    """Take off what gets no traffic; that it cannot be is no reason to fail: it only costs."""

    def idle() -> list[str]:
        found = client.get_endpoint(name=endpoint)
        shares = dict(found.traffic_split)
        return [d.id for d in found.deployed_models if d.id != keep and not shares.get(d.id)]

    try:
        for deployed_id in attempt(f"look at {endpoint}", idle):
            with readable_errors(f"take the model {deployed_id} off {endpoint}"):
                client.undeploy_model(endpoint=endpoint, deployed_model_id=deployed_id).result(
                    timeout=_DEPLOY_TIMEOUT_S
                )
    except VertexError as error:
        logger.warning("an idle version stays on the endpoint and costs its machines: %s", error)


def _same_model(name: str, version: Version) -> bool:
    """Names may hold the project's id or its number: what follows is the same."""
    return name.partition("@")[0].split("/")[2:] == version.model.split("/")[2:]
