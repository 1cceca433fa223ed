"""Checks a bill of materials: that it is CycloneDX, and that it lists the crates that the build takes, no more and no fewer.

The argument is the bill; `cargo tree` is read, with a line for each crate, callfeed itself first.
"""

import json
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

path = sys.argv[1]
with open(path, encoding="utf-8") as file:
    text = file.read()

error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
if error is not None:
    sys.exit(f"{path} is no CycloneDX 1.5: {error}")

# A line is `NAME vVERSION`, and after some crates more words.
lines = [line.split() for line in sys.stdin if line.strip()]
crates = [(name, version.removeprefix("v")) for name, version, *_ in lines]
built = set(crates) - {crates[0]}
listed = {(one["name"], one["version"]) for one in json.loads(text)["components"]}
if built != listed:
    sys.exit(f"{path} lacks {sorted(built - listed)}, and has {sorted(listed - built)} too many")
print(f"{path}: CycloneDX 1.5, {len(listed)} crates")
