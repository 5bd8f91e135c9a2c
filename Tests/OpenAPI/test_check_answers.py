"""What check_answers.py finds, and what it lets pass."""

import json
import unittest

from check_answers import Description

DOCUMENT = {
    "openapi": "3.1.0",
    "paths": {
        "/things/{id}": {
            "get": {
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                    "204": {"description": "Nothing."},
                    "default": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}},
                }
            }
        }
    },
    "components": {
        "schemas": {
            "Error": {"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}},
            "Named": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
            "Thing": {
                "allOf": [
                    {"$ref": "#/components/schemas/Named"},
                    {
                        "type": "object",
                        "required": ["id"],
                        "properties": {
                            "id": {"type": "string", "format": "uuid"},
                            "at": {"type": "string", "format": "date-time"},
                            "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Named"}},
                            "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
                            "metadata": {"type": "object"},
                            "owner": {"oneOf": [{"$ref": "#/components/schemas/Named"}, {"type": "null"}]},
                        },
                    },
                ]
            },
        }
    },
}

THING = {
    "name": "n", "id": "0e0d8d46-9a0e-4c4f-8a5c-0a3b9d2f1c11", "at": "2026-01-01T00:00:00.123Z",
    "parts": [{"name": "p"}], "counts": {"a": 1}, "metadata": {"anything": {"at": "all"}}, "owner": None,
}


class CheckAnswers(unittest.TestCase):
    def faults(self, body=None, **changes):
        answer = {
            "method": "GET", "path": "/things/{id}", "status": 200, "contentType": "application/json; charset=utf-8",
            "body": body if isinstance(body, str) else json.dumps(body),
        }
        return Description(DOCUMENT).faults(answer | changes)

    def test_what_is_described_passes(self):
        self.assertEqual(self.faults(THING), [])
        self.assertEqual(self.faults(THING | {"owner": {"name": "o"}}), [])
        self.assertEqual(self.faults({"name": "n", "id": THING["id"]}), [])
        self.assertEqual(self.faults("", status=204, contentType=None), [])
        self.assertEqual(self.faults({"message": "m"}, status=429), [])
        self.assertEqual(self.faults("", method="HEAD"), [])

    def test_members(self):
        for change, expected in [
            ({"more": 1}, "the body: Unevaluated properties are not allowed ('more' was unexpected)"),
            ({"parts": [{"name": "p", "more": 1}]}, "parts[]: Unevaluated properties"),
            ({"owner": {"name": "o", "more": 1}}, "owner: "),
            ({"parts": [{}]}, "parts[]: 'name' is a required property"),
            ({"id": 1}, "id: 1 is not of type 'string'"),
            ({"id": "x"}, "id: 'x' is not a 'uuid'"),
            ({"at": "yesterday"}, "at: 'yesterday' is not a 'date-time'"),
            ({"counts": {"a": "1"}}, "counts.a: '1' is not of type 'integer'"),
            ({"name": None}, "name: None is not of type 'string'"),
        ]:
            with self.subTest(change):
                faults = self.faults(THING | change)
                self.assertEqual(len(faults), 1, faults)
                self.assertIn(f"GET /things/{{id}}: 200: {expected}", faults[0])

    def test_statuses_and_bodies(self):
        for change, expected in [
            ({"status": 201}, "GET /things/{id}: 201 is not described"),
            ({"status": 409}, "GET /things/{id}: 409 is not described"),
            ({"status": 500}, "GET /things/{id}: 500: the body: 'message' is a required property"),
            ({"status": 204}, "GET /things/{id}: 204: has a body where none is described"),
            ({"contentType": "text/plain"}, "GET /things/{id}: 200: is text/plain, described as application/json"),
            ({"method": "POST", "status": 200}, "POST /things/{id}: 200, and is not described"),
            ({"method": "HEAD"}, "GET /things/{id}: 200: HEAD has a body"),
        ]:
            with self.subTest(change):
                self.assertIn(expected, self.faults(THING, **change))


if __name__ == "__main__":
    unittest.main()
