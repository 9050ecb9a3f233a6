"""What KubeRay's schema says of a RayJob, down to the fields that jobs/rayjob.yaml uses; any other field is refused.

    python -m tests.cluster.rayjob_schema ray.io_rayjobs.yaml > tests/cluster/rayjob_schema.yaml

makes it anew from the file that KubeRay publishes, helm-chart/kuberay-operator/crds/ray.io_rayjobs.yaml.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
KEPT = ("type", "enum", "pattern", "anyOf", "required", "minimum")


def reduced(schema: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """A schema without what no value uses, and strict about all else.

    Args:
        schema: of Kubernetes' kind, which lets through what it does not know.
        values: every value that stands, or may stand, where the schema applies.
    """
    kept = {key: schema[key] for key in KEPT if key in schema}
    if isinstance(schema.get("additionalProperties"), dict):
        kept["additionalProperties"] = reduced(schema["additionalProperties"], [])
    if "items" in schema:
        kept["items"] = reduced(schema["items"], [item for value in values for item in value])
    if "properties" in schema:
        used = {name: [value[name] for value in values if name in value] for name in schema["properties"]}
        kept["properties"] = {
            name: reduced(schema["properties"][name], found)
            for name, found in used.items()
            if found or name in schema.get("required", ())
        }
        kept["additionalProperties"] = False
    return kept


def main(path: Path) -> None:
    definition = yaml.safe_load(path.read_text())
    (version,) = (found for found in definition["spec"]["versions"] if found["name"] == "v1")
    job = yaml.safe_load((ROOT / "jobs" / "rayjob.yaml").read_text())
    found = reduced(version["schema"]["openAPIV3Schema"], [job])
    print(yaml.safe_dump(json.loads(json.dumps(found)), sort_keys=False), end="")  # nothing by reference


if __name__ == "__main__":
    main(Path(sys.argv[1]))
