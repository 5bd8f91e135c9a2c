"""Holds recorded answers of the API against its own description, as it was served in one of them.

Run by ops/test-openapi. What differs is printed, the operation first; then the program ends 1.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict

from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

DESCRIPTION = "/api/v1/openapi.json"
# What any request can get before its route is asked; only these need not be listed at every operation.
ANYWHERE = {401, 405, 406, 408, 414, 429, 431, 500, 503}
COMPOSING = ("allOf", "oneOf", "anyOf")
SHOWN = 8


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("answers", help="JSON lines, as RECORD_ANSWERS makes them")
    options.add_argument("--part", action="store_true", help="operations that no answer is of are no fault")
    options = options.parse_args()
    with open(options.answers, encoding="utf-8") as file:
        answers = [json.loads(line) for line in file]
    document = next((json.loads(a["body"]) for a in answers if a.get("path") == DESCRIPTION and a["status"] == 200), None)
    if document is None:
        sys.exit(f"failed: none of the {len(answers)} answers is the description; was {DESCRIPTION} asked for?")
    invalid = [f"the description: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
    faults = Counter(invalid)
    description = Description(document)
    seen = defaultdict(set)
    for answer in answers:
        for fault in description.faults(answer):
            faults[fault] += 1
        seen[operation_name(answer)].add(answer["status"])
    if not options.part:
        for name in description.operations:
            if not any(status < 400 for status in seen[name]):
                faults[f"{name}: no test got a successful answer"] += 1
    for fault, count in sorted(faults.items()):
        print(fault if count == 1 else f"{fault} ({count} answers)")
    if faults:
        sys.exit(f"failed: {len(faults)} differences between the API and its description, in {len(answers)} answers")
    print(f"{len(answers)} answers of {len(description.operations)} operations are as described")


def operation_name(answer):
    method = "GET" if answer["method"] == "HEAD" else answer["method"]
    return f"{method} {answer.get('path')}"


class Description:
    """The document, with every object closed that says which members it has."""

    def __init__(self, document):
        self.document = document
        self.operations = {
            f"{method.upper()} {path}": operation
            for path, item in document["paths"].items()
            for method, operation in item.items()
            if method in ("get", "put", "post", "patch", "delete")
        }
        # The original is still needed to ask which schema names members.
        closed = json.loads(json.dumps(document))
        for part in closed["components"]["schemas"].values():
            self.close_members(part)
        self.registry = Registry().with_resource("urn:api", Resource(contents=closed, specification=DRAFT202012))
        self.validators = {}

    # --- closing -----------------------------------------------------------------------------------

    def resolve(self, schema):
        while "$ref" in schema:
            found = self.document
            for name in schema["$ref"].split("/")[1:]:
                found = found[name.replace("~1", "/").replace("~0", "~")]
            schema = found
        return schema

    def names_members(self, schema):
        schema = self.resolve(schema)
        return "properties" in schema or any(
            self.names_members(part) for word in COMPOSING for part in schema.get(word, []))

    def closed(self, schema):
        """The schema of a value: members that no part of it names are refused, here and further inside."""
        self.close_members(schema)
        if self.names_members(schema):
            schema.setdefault("unevaluatedProperties", False)
        return schema

    def close_members(self, schema):
        """The same for what is inside. The schema itself may be a part of another one and so has to stay open."""
        for member in schema.get("properties", {}).values():
            self.closed(member)
        for word in ("items", "additionalProperties"):
            if isinstance(schema.get(word), dict):
                self.closed(schema[word])
        for word in COMPOSING:
            for part in schema.get(word, []):
                self.close_members(part)

    # --- answers -----------------------------------------------------------------------------------

    def faults(self, answer):
        name, status = operation_name(answer), answer["status"]
        operation = self.operations.get(name)
        if operation is None:
            # No such path or method: only a refusal, or what the CORS layer says before any route.
            if status < 400 and answer["method"] != "OPTIONS":
                return [f"{answer['method']} {answer.get('path')}: {status}, and is not described"]
            content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
            return self.faults_of_body(name, answer, content if status >= 400 else {})
        responses = operation["responses"]
        response = responses.get(str(status)) or (responses.get("default") if status in ANYWHERE else None)
        if response is None:
            return [f"{name}: {status} is not described"]
        if "$ref" in response:
            response = self.resolve(response)
        return self.faults_of_body(name, answer, response.get("content", {}))

    def faults_of_body(self, name, answer, content):
        where = f"{name}: {answer['status']}"
        if answer["method"] == "HEAD":
            return [f"{where}: HEAD has a body"] if answer["body"] else []
        if not content:
            return [f"{where}: has a body where none is described"] if answer["body"] else []
        kind = (answer["contentType"] or "no content type").split(";")[0]
        if kind not in content:
            return [f"{where}: is {kind}, described as {', '.join(content)}"]
        if kind != "application/json":
            return []
        try:
            value = json.loads(answer["body"])
        except ValueError as error:
            return [f"{where}: {error}"]
        errors = list(self.validator(content[kind]["schema"]).iter_errors(value))
        return [f"{where}: {message}" for message in sorted(set(self.messages(errors)))[:SHOWN]]

    def validator(self, schema):
        key = json.dumps(schema, sort_keys=True)
        if key not in self.validators:
            # References are to the registered document.
            contents = self.closed(json.loads(key.replace('"#/', '"urn:api#/')))
            self.validators[key] = Draft202012Validator(
                contents, registry=self.registry, format_checker=FormatChecker())
        return self.validators[key]

    def messages(self, errors):
        """One line for each error, in terms of the value: where a choice fails, what is wrong with the nearest part."""
        for error in errors:
            nearest = max(error.context, key=lambda inner: len(inner.absolute_path), default=None)
            if nearest is not None and len(nearest.absolute_path) > len(error.absolute_path):
                yield from self.messages([nearest])
                continue
            # Around a fault every member counts as one that no part names; the fault itself says more.
            if error.validator == "unevaluatedProperties" and self.holds_another(error, errors):
                continue
            path = "".join("[]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
            yield f"{path.lstrip('.') or 'the body'}: {error.message[:300]}"

    @staticmethod
    def holds_another(error, errors):
        path = list(error.absolute_path)
        return any(
            list(other.absolute_path)[: len(path)] == path
            and (other.validator != "unevaluatedProperties" or len(other.absolute_path) > len(path))
            for other in errors)


if __name__ == "__main__":
    main()
