"""Reads [{"schema": .., "values": [..]}, ..] from standard input and prints as JSON what is wrong, one list for each entry: with the
schema itself, and then with each value.

    python3 schemas.py MODULES

MODULES is the folder of the packages from PyPI.
"""

import json
import sys

sys.path.insert(0, sys.argv[1])

import jsonschema


def complaints(schema, values):
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for value in values:
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
        yield error and f"{error.json_path}: {error.message[:500]}"


print(json.dumps([list(complaints(entry["schema"], entry["values"])) for entry in json.load(sys.stdin)]))
