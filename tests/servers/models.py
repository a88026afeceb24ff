"""Models with versions and aliases, their evaluations, and endpoints that serve them."""

from __future__ import annotations

import re
from typing import Any

from servers.rest import Call
from servers.store import ApiError, Store, canonical, check_labels, invalid, timestamp

_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
_MODEL_ID = re.compile(r"[a-z0-9_][a-z0-9_-]{0,62}")
_METRICS_SCHEMA = re.compile(
    r"gs://google-cloud-aiplatform/schema/modelevaluation/[\w.]+\.yaml|\s*"
)


class Models:
    """The model registry. A version is kept under ``models/ID@VERSION``."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def versions(self, name: str) -> list[Any]:
        prefix = canonical(name).partition("@")[0] + "@"
        with self.store.lock:
            return [
                found
                for key, found in self.store.resources.items()
                if key.startswith(prefix) and "/" not in key[len(prefix) :]
            ]

    def find(self, name: str) -> Any:
        """A version by number or alias; the default one where neither is given."""
        _, _, wanted = name.partition("@")
        for version in self.versions(name):
            if wanted == version.version_id or (wanted or "default") in version.version_aliases:
                return version
        raise ApiError(404, "NOT_FOUND", f"The Model {name} could not be found.")

    def upload(self, call: Call) -> Any:
        request, model, types = call.message, call.message.model, call.route.types
        if not model.display_name:
            raise invalid("model.display_name is required")
        if not model.container_spec.image_uri:
            raise invalid("model.container_spec.image_uri is required")
        check_labels(model)
        if request.parent_model:
            known = self.versions(request.parent_model)
            if not known:
                raise ApiError(
                    404, "NOT_FOUND", f"The Model {request.parent_model} could not be found."
                )
            if request.model_id:
                raise invalid("model_id and parent_model exclude each other")
            name = canonical(request.parent_model).partition("@")[0]
        else:
            if request.model_id and not _MODEL_ID.fullmatch(request.model_id):
                raise invalid(f"Invalid model_id: {request.model_id!r}")
            name = f"{canonical(request.parent)}/models/{request.model_id or self.store.new_id()}"
            known = self.versions(name)
            if known:
                raise ApiError(409, "ALREADY_EXISTS", f"The Model {name} already exists.")
        aliases = list(model.version_aliases)
        for alias in aliases:
            _check_alias(alias)
        with self.store.lock:
            model.name = name
            model.version_id = str(max([0, *(int(v.version_id) for v in known)]) + 1)
            model.create_time = model.version_create_time = timestamp()
            model.update_time = model.version_update_time = timestamp()
            model.version_aliases = []
            self.store.resources[f"{name}@{model.version_id}"] = model
            self._give(model, [*aliases, *([] if known else ["default"])])
        response = types.UploadModelResponse(model=name, model_version_id=model.version_id)
        metadata = types.UploadModelOperationMetadata()
        return self.store.operation(name, response, metadata)

    def _give(self, model: Any, aliases: list[str]) -> None:
        """An alias belongs to one version: the others lose it."""
        for version in self.versions(model.name):
            version.version_aliases = [a for a in version.version_aliases if a not in aliases]
        model.version_aliases = sorted({*model.version_aliases, *aliases})

    def merge_aliases(self, call: Call) -> Any:
        model = self.find(call.message.name)
        add = [a for a in call.message.version_aliases if not a.startswith("-")]
        drop = [a[1:] for a in call.message.version_aliases if a.startswith("-")]
        if "default" in drop:
            raise invalid("the alias default can only be moved")
        for alias in add:
            _check_alias(alias)
        with self.store.lock:
            self._give(model, add)
            model.version_aliases = [a for a in model.version_aliases if a not in drop]
        return model

    def list_models(self, call: Call) -> Any:
        names = {v.name for v in self._all() if v.name.startswith(canonical(call.message.parent))}
        found, token = self.store.page([self.find(name) for name in sorted(names)], call.message)
        return call.route.types.ListModelsResponse(models=found, next_page_token=token)

    def list_versions(self, call: Call) -> Any:
        versions = self.versions(call.message.name)
        if not versions:
            self.find(call.message.name)
        found, token = self.store.page(versions, call.message)
        return call.route.types.ListModelVersionsResponse(models=found, next_page_token=token)

    def _all(self) -> list[Any]:
        with self.store.lock:
            return [
                found
                for key, found in self.store.resources.items()
                if "@" in key.rpartition("/")[2]
            ]

    def delete_version(self, call: Call) -> Any:
        model = self.find(call.message.name)
        if "default" in model.version_aliases and len(self.versions(model.name)) > 1:
            raise ApiError(400, "FAILED_PRECONDITION", "The default version cannot be deleted.")
        self.store.remove(f"{model.name}@{model.version_id}")
        return self._deleted(model.name, call.route.types)

    def delete(self, call: Call) -> Any:
        model = self.find(call.message.name)
        for version in self.versions(model.name):
            self.store.remove(f"{version.name}@{version.version_id}")
        return self._deleted(model.name, call.route.types)

    def _deleted(self, name: str, types: Any) -> Any:
        from google.protobuf.empty_pb2 import Empty

        return self.store.operation(name, Empty(), types.DeleteOperationMetadata())

    def import_evaluation(self, call: Call) -> Any:
        model, evaluation = self.find(call.message.parent), call.message.model_evaluation
        if not evaluation.metrics_schema_uri and evaluation.metrics:
            raise invalid("model_evaluation.metrics_schema_uri is required")
        if not _METRICS_SCHEMA.fullmatch(evaluation.metrics_schema_uri):
            raise invalid(f"Unknown metrics_schema_uri {evaluation.metrics_schema_uri}")
        parent = f"{model.name}@{model.version_id}" if "@" in call.message.parent else model.name
        return self.store.add(parent, "evaluations", evaluation)

    def deploy(self, call: Call) -> Any:
        request, types = call.message, call.route.types
        endpoint, deployed = self.store.get(request.endpoint), request.deployed_model
        model = self.find(deployed.model)
        kind = types.DeployedModel.pb(deployed).WhichOneof("prediction_resources")
        if kind is None:
            raise invalid("deployed_model names no resources")
        split = dict(request.traffic_split)
        if split and sum(split.values()) != 100:
            raise invalid(f"traffic_split sums to {sum(split.values())}, not 100")
        known = {d.id for d in endpoint.deployed_models}
        if unknown := set(split) - known - {"0"}:
            raise invalid(f"traffic_split names no deployed model: {sorted(unknown)}")
        deployed.id = deployed.id or self.store.new_id()
        deployed.model, deployed.model_version_id = model.name, model.version_id
        deployed.create_time = timestamp()
        with self.store.lock:
            endpoint.deployed_models.append(deployed)
            if split:
                endpoint.traffic_split = {
                    (deployed.id if key == "0" else key): share for key, share in split.items()
                }
        response = types.DeployModelResponse(deployed_model=deployed)
        metadata = types.DeployModelOperationMetadata()
        return self.store.operation(endpoint.name, response, metadata)

    def undeploy(self, call: Call) -> Any:
        request, types = call.message, call.route.types
        endpoint = self.store.get(request.endpoint)
        if request.deployed_model_id not in {d.id for d in endpoint.deployed_models}:
            raise ApiError(404, "NOT_FOUND", f"no deployed model {request.deployed_model_id}")
        split = dict(request.traffic_split) or dict(endpoint.traffic_split)
        if split.get(request.deployed_model_id):
            raise invalid("a model with traffic cannot be undeployed")
        with self.store.lock:
            endpoint.deployed_models = [
                d for d in endpoint.deployed_models if d.id != request.deployed_model_id
            ]
            split.pop(request.deployed_model_id, None)
            endpoint.traffic_split = split
        return self.store.operation(
            endpoint.name, types.UndeployModelResponse(), types.UndeployModelOperationMetadata()
        )


def _check_alias(alias: str) -> None:
    if not _ALIAS.fullmatch(alias):
        raise invalid(f"Invalid version alias: {alias!r}")
