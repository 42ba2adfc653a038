"""Reads manifests, compose files and templates (YAML) and Nomad jobs (HCL), and prints as JSON what they hold, one entry for each,
with what the schemas of Kubernetes, of the oldest and the newest version that there are, have against it.

    python3 deploy.py MODULES FILE...

MODULES is the folder of the packages from PyPI.
"""

import json
import sys

sys.path.insert(0, sys.argv[1])

import hcl2
import kubernetes_validate.utils
import yaml

VERSIONS = [kubernetes_validate.utils.all_versions()[index] for index in (0, -1)]


def plain(value):
    """HCL without the quotes that its reader leaves around strings and names."""
    if isinstance(value, dict):
        return {plain(name): plain(each) for name, each in value.items() if name != "__is_block__"}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.strip('"') if isinstance(value, str) else value


def complaints(document):
    """What is wrong with an object of Kubernetes; what is of no kind that it knows is left to others."""
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"unknown: {error.kind}"
        except kubernetes_validate.ValidationError as error:
            yield f"{version}: {'.'.join(map(str, error.path))}: {error.message}"


def read(path):
    with open(path, encoding="utf-8") as file:
        documents = [plain(hcl2.load(file))] if path.endswith(".hcl") else list(yaml.safe_load_all(file))
    objects = [document for document in documents if isinstance(document, dict) and "apiVersion" in document]
    return {"documents": documents, "complaints": [line for each in objects for line in complaints(each)]}


json.dump([read(path) for path in sys.argv[2:]], sys.stdout)
