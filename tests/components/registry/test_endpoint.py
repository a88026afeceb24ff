"""A version behind an endpoint, and its share of the traffic."""

from __future__ import annotations

from typing import Any

import pytest
from servers.vertex import VertexServer

from components.registry.config import RegistryConfig
from components.registry.endpoint import split_traffic
from components.vertex_api import VertexError, connect

PROJECT, REGION = "screens", "europe-west4"


class TestEndpoint:
    @pytest.fixture
    def endpoint(self, vertex_server: VertexServer) -> Any:
        library = connect(PROJECT, REGION)
        return library.Endpoint.create(display_name="plates", sync=True)

    def config(self, endpoint: Any, percent: int = 100) -> RegistryConfig:
        return RegistryConfig(
            endpoint=endpoint.resource_name,
            endpoint_traffic_percent=percent,
            endpoint_machine="n1-standard-8",
            endpoint_replicas_max=3,
        )

    def test_a_share_of_the_traffic(
        self, vertex_server: VertexServer, push_model: Any, endpoint: Any
    ) -> None:
        push_model("one", self.config(endpoint, 30))
        push_model("two", self.config(endpoint, 30))
        push_model("two", self.config(endpoint, 30))  # tried again
        stored = vertex_server.store.get(endpoint.resource_name)
        share = {d.model_version_id: stored.traffic_split[d.id] for d in stored.deployed_models}
        assert share == {"1": 70, "2": 30}  # the first one had nobody to share with
        machine = stored.deployed_models[1].dedicated_resources
        assert machine.machine_spec.machine_type == "n1-standard-8"
        assert (machine.min_replica_count, machine.max_replica_count) == (1, 3)
        assert stored.deployed_models[1].service_account.startswith("server@")

    def test_all_of_it_takes_the_older_ones_off(
        self, vertex_server: VertexServer, push_model: Any, endpoint: Any
    ) -> None:
        push_model("one", self.config(endpoint))
        push_model("two", self.config(endpoint))
        stored = vertex_server.store.get(endpoint.resource_name)
        assert [d.model_version_id for d in stored.deployed_models] == ["2"]
        assert dict(stored.traffic_split) == {stored.deployed_models[0].id: 100}

    def test_no_such_endpoint(self, vertex_server: VertexServer, push_model: Any) -> None:
        name = f"projects/{PROJECT}/locations/{REGION}/endpoints/7"
        with pytest.raises(VertexError, match=r"cannot deploy .* could not be found"):
            push_model(config=RegistryConfig(endpoint=name))


@pytest.mark.parametrize(
    ("current", "percent", "split"),
    [
        ({}, 30, {"0": 100}),
        ({"a": 0}, 30, {"0": 100}),
        ({"a": 100}, 30, {"0": 30, "a": 70}),
        ({"a": 50, "b": 50}, 25, {"0": 25, "a": 38, "b": 37}),
        ({"a": 34, "b": 33, "c": 33}, 1, {"0": 1, "a": 33, "b": 33, "c": 33}),
        ({"a": 100}, 100, {"0": 100, "a": 0}),
        ({"a": 100}, 0, {"0": 0, "a": 100}),
    ],
)
def test_traffic_split(current: dict[str, int], percent: int, split: dict[str, int]) -> None:
    assert split_traffic(current, percent) == split
    assert sum(split.values()) == 100
