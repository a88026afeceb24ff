"""Write ``schema.json``: what the Google provider takes, for the resources that we use.

    python extract.py FOLDER_OF_UNPACKED_NPM_PACKAGE > schema.json

The npm package ``@cdktf/provider-google`` is generated from the provider's own schema and carries
it in full: names, types, what is required, which blocks nest in which. Version 16.12.1 is generated
from provider 6.50.0. Its TypeScript, comments included, lies in the source maps of its modules.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path

from reading import Configuration

_SIMPLE = {"string": "string", "number": "number", "boolean": "bool", "any": "dynamic"}
_MEMBER = re.compile(r"#(\w+) [\w]+#\w+\}.*?readonly (\w+)(\??):", re.S)
_HCL = re.compile(
    r"(\w+): \{\s*value: (.+?),\s*isBlock: (true|false),\s*"
    r'type: "(\w+)",\s*storageClassType: "(\w+)",\s*\}',
    re.S,
)
_COMMENT = re.compile(r"// (\w+) - computed: (\w+), optional: (\w+), required: (\w+)")
_GETTER = re.compile(r"this\.get(\w+)Attribute\('(\w+)'\)")


def source(package: Path, kind: str, name: str) -> str:
    """TypeScript of one resource or data source."""
    stem = name.removeprefix("google_").replace("_", "-")
    candidates = [f"data-google-{stem}"] if kind == "data" else [stem, f"google-{stem}"]
    for candidate in candidates:
        module = package / "lib" / candidate / "index.js"
        if module.exists():
            encoded = module.read_text().rsplit("base64,", 1)[1]
            return str(json.loads(base64.b64decode(encoded))["sourcesContent"][0])
    raise SystemExit(f"{package} has none of {', '.join(candidates)}")


def attribute_type(kind: str, storage: str) -> str:
    """Terraform's name of a type that cdktf names in two parts, such as ``list stringList``."""
    if kind == "simple":
        return _SIMPLE[storage]
    element = _SIMPLE.get(re.sub(r"(List|Set|Map)$", "", storage), "dynamic")
    return f"{kind}({element})" if element != "dynamic" else "dynamic"


def block(text: str, struct: str, attrs: str) -> dict:
    """One block: its attributes and the blocks in it.

    ``struct`` is the interface that says what is required, ``attrs`` the text that lists members.
    """
    interface = re.search(rf"export interface {struct} .*?^\}}", text, re.S | re.M)
    needed = {m[1]: not m[3] for m in _MEMBER.finditer(interface[0] if interface else "")}
    made: dict = {"attributes": {}, "blocks": {}}
    for name, value, is_block, kind, storage in _HCL.findall(attrs):
        required = needed.get(name, False)
        if is_block == "false":
            mode = "required" if required else "optional"
            made["attributes"][name] = {"type": attribute_type(kind, storage), "mode": mode}
            continue
        function = re.search(r"(\w+)ToHclTerraform", value)
        assert function is not None, value
        inner = function[1][0].upper() + function[1][1:]
        body = re.search(rf"function {function[1]}ToHclTerraform\(.*?^\}}", text, re.S | re.M)
        assert body is not None, function[1]
        single = name == "timeouts"
        made["blocks"][name] = {
            "nesting": "single" if single else kind,
            "min": int(required),
            "max": 0 if single or "listMapper" in value else 1,
            **block(text, inner, body[0]),
        }
    return made


def resource(text: str) -> dict:
    """Schema of one resource or data source."""
    config = re.search(r"export interface (\w+Config) extends cdktf.TerraformMeta", text)
    assert config is not None
    main = text[text.rindex("export class ") :]
    made = block(text, config[1], main[main.index("synthesizeHclAttributes") :])
    getters = {name: kind for kind, name in _GETTER.findall(main)}
    kinds = {"String": "string", "Number": "number", "Boolean": "bool", "List": "list(string)"}
    for name, computed, optional, _ in _COMMENT.findall(main):
        if computed == "true" and name not in made["blocks"]:
            known = made["attributes"].get(name)
            kind = known["type"] if known else kinds.get(getters.get(name, ""), "dynamic")
            mode = "optional_computed" if optional == "true" else "computed"
            made["attributes"][name] = {"type": kind, "mode": mode}
    made["attributes"]["id"] = {"type": "string", "mode": "optional_computed"}
    return made


def main(package: Path) -> None:
    """Print the schema of every resource and data source in use."""
    schema: dict = {"provider": "hashicorp/google", "version": "6.50.0", "resource": {}, "data": {}}
    configuration = Configuration()
    for kind in ("resource", "data"):
        for name in sorted(configuration.types(kind)):
            schema[kind][name] = resource(source(package, kind, name))
    print(json.dumps(schema, separators=(",", ":"), sort_keys=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
