"""Compiled pipelines in the registry (Artifact Registry, format KFP), as versioned templates.

    python infra/cloudbuild/template.py push HOST FILE.yaml --tag TAG [--tag ...]
    python infra/cloudbuild/template.py tag HOST NAME FROM_TAG NEW_TAG
    python infra/cloudbuild/template.py pull HOST NAME TAG FILE.yaml
    python infra/cloudbuild/template.py image FILE.yaml REPOSITORY/IMAGE

``image`` prints the one address by digest that a specification has of an image.
HOST is ``https://REGION-kfp.pkg.dev/PROJECT/REPOSITORY`` (Terraform: ``template_repository``); NAME
is the pipeline's own. A tag that exists moves to what is pushed; the version, a digest of the
content, stays. Credentials: application default. ``--context FILE`` describes a registry of another
kind, in kfp's own format.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

#: What the registry takes for a tag.
_TAG = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")


class TemplateError(Exception):
    """A file or a tag that the registry would not take."""


def client(host: str, context: str | None) -> Any:
    """kfp's registry client."""
    import google.auth.transport.requests  # noqa: F401 - kfp uses it without importing it
    from kfp.registry import RegistryClient

    return RegistryClient(host=host, config_file=context)


def check(path: Path) -> str:
    """Name of the pipeline in a file that the registry takes: a specification, not a job.

    Raises
    ------
    TemplateError
        It is something else.
    """
    parsed = yaml.safe_load(path.read_text())
    if not isinstance(parsed, dict) or "pipelineInfo" not in parsed:
        raise TemplateError(
            f"{path} is no pipeline specification; compile one: platewise compile -o FILE.yaml"
        )
    return str(parsed["pipelineInfo"]["name"])


def push(registry: Any, path: Path, tags: list[str]) -> str:
    """Upload a specification; returns ``NAME/VERSION``."""
    check(path)
    if wrong := [tag for tag in tags if not _TAG.fullmatch(tag)]:
        raise TemplateError(f"not tags: {', '.join(wrong)} (lower case, digits, . _ -)")
    name, version = registry.upload_pipeline(str(path), tags=tags or None)
    return f"{name}/{version}"


def tag(registry: Any, name: str, old: str, new: str) -> str:
    """Give what has one tag another too; returns its version."""
    found = registry.get_tag(name, old)
    version = str(found["version"]).rpartition("/")[2]
    if _has_tag(registry, name, new):
        registry.update_tag(name, version, new)
    else:
        registry.create_tag(name, version, new)
    return version


def image_in(path: Path, image: str) -> str:
    """The address by digest that a specification has of an image.

    Raises
    ------
    TemplateError
        It has none, or several.
    """
    check(path)
    # Not in the text: YAML folds long strings, and one step's configuration is JSON in a string.
    text = json.dumps(yaml.safe_load(path.read_text()))
    found = sorted(set(re.findall(re.escape(image) + r"@sha256:[0-9a-f]{64}", text)))
    if len(found) != 1:
        raise TemplateError(f"{path} has {len(found)} addresses of {image} by digest, not one")
    return found[0]


def _has_tag(registry: Any, name: str, wanted: str) -> bool:
    from requests import HTTPError

    try:
        registry.get_tag(name, wanted)
    except HTTPError as error:
        if error.response is not None and error.response.status_code == 404:
            return False
        raise
    return True


def main(arguments: list[str] | None = None) -> int:
    """Do what was asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--context", metavar="FILE")
    commands = parser.add_subparsers(dest="command", required=True)
    pushing = commands.add_parser("push")
    pushing.add_argument("host")
    pushing.add_argument("file", type=Path)
    pushing.add_argument("--tag", action="append", default=[])
    tagging = commands.add_parser("tag")
    for name in ("host", "name", "old", "new"):
        tagging.add_argument(name)
    pulling = commands.add_parser("pull")
    for name in ("host", "name", "tag", "file"):
        pulling.add_argument(name)
    looking = commands.add_parser("image")
    looking.add_argument("file", type=Path)
    looking.add_argument("image")
    args = parser.parse_args(arguments)

    from requests import HTTPError

    try:
        if args.command == "image":
            print(image_in(args.file, args.image))
            return 0
        registry = client(args.host, args.context)
        if args.command == "push":
            print(push(registry, args.file, args.tag))
        elif args.command == "tag":
            print(tag(registry, args.name, args.old, args.new))
        else:
            print(registry.download_pipeline(args.name, tag=args.tag, file_name=args.file))
    except (TemplateError, OSError, HTTPError) as error:
        print(f"template: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
