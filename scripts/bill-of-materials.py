"""Writes what the binary is built from, in CycloneDX's JSON, and checks that it is that.

    bill-of-materials.py TARGET FILE

Which crates take part, and which of them needs which, is what `cargo tree` says for the target: also those that only take part
in the build, since OpenSSL and librdkafka come with such. Licences are from `cargo metadata`, hashes from Cargo.lock.
"""

import json
import subprocess
import sys
import tomllib

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import OutputFormat, make_outputter
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

VERSION = SchemaVersion.V1_6


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def tree(target):
    """The crates from callfeed down, each with its depth. What a crate needs is told once, however often it comes."""
    form = ["--edges", "normal,build", "--prefix", "depth", "--format", " {p}"]
    for line in cargo("tree", "--locked", "--target", target, *form).splitlines():
        depth, name, version, *_ = line.split()
        yield int(depth), (name, version.removeprefix("v"))


def components():
    """All crates of Cargo.lock, for whatever they are there, by name and version."""
    with open("Cargo.lock", "rb") as file:
        checksums = {(one["name"], one["version"]): one.get("checksum") for one in tomllib.load(file)["package"]}
    return {key: component(package, checksums[key]) for key, package in packages().items()}


def packages():
    found = json.loads(cargo("metadata", "--locked", "--format-version", "1"))["packages"]
    return {(package["name"], package["version"]): package for package in found}


def component(package, checksum):
    # A slash is how crates wrote OR in former times.
    licence = package["license"].replace("/", " OR ")
    purl = PackageURL("cargo", name=package["name"], version=package["version"])
    return Component(
        type=ComponentType.LIBRARY if checksum else ComponentType.APPLICATION,
        bom_ref=str(purl),
        name=package["name"],
        version=package["version"],
        description=package["description"],
        licenses=[LicenseFactory().make_from_string(licence)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else [],
        purl=purl,
    )


def bill(target):
    known = components()
    bom = Bom()
    above = []
    for depth, crate in tree(target):
        del above[depth:]
        if above:
            bom.components.add(known[crate])
            bom.register_dependency(known[above[-1]], [known[crate]])
        else:
            bom.metadata.component = known[crate]
        above.append(crate)
    return bom


target, path = sys.argv[1:]
made = bill(target)
text = make_outputter(made, OutputFormat.JSON, VERSION).output_as_string(indent=2)
if error := JsonStrictValidator(VERSION).validate_str(text):
    sys.exit(f"this would be no CycloneDX {VERSION.to_version()}: {error}")
with open(path, "w", encoding="utf-8") as file:
    file.write(text)
print(f"{path}: CycloneDX {VERSION.to_version()}, {len(made.components)} crates")
