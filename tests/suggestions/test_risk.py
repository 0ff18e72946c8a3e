import pytest

from evolution_lab.contracts import OpenApiDocument
from evolution_lab.suggestions.document_change import change_document
from evolution_lab.suggestions.edits import DeclareField, Place, RequireField
from evolution_lab.suggestions.risk import assess_risk

DOCUMENT = OpenApiDocument.load(
    {
        "openapi": "3.1.0",
        "info": {"title": "A", "version": "1"},
        "paths": {
            "/a": {
                "post": {
                    "requestBody": {
                        "content": {
                            "application/json": {
                                "schema": {"properties": {"po": {"type": "string"}}}
                            }
                        }
                    },
                    "responses": {
                        "200": {
                            "description": "Done.",
                            "content": {"application/json": {"schema": {"type": "object"}}},
                        }
                    },
                }
            }
        },
    }
)


@pytest.mark.parametrize(
    ("edit", "breaking", "lasting"),
    [
        (RequireField(place=Place(part="body", path=("po",))), True, False),
        (DeclareField(place=Place(part="response", path=("n",)), schema={}), False, True),
    ],
    ids=["narrows-requests", "promises-more"],
)
def test_what_breaks_callers_now_and_what_would_when_taken_back(edit, breaking, lasting):
    change = change_document(DOCUMENT, "POST /a", [edit], title="Change.")
    assert (change.breaking, change.lasting) == (breaking, lasting)


def test_every_part_of_the_risk_counts_and_is_explained():
    least = assess_risk(
        "schema-update", blast_radius=0.0, command=False, breaking="compatible", confidence=1.0
    )
    more = [
        {"breaking": "breaking"},
        {"blast_radius": 0.5},
        {"command": True},
        {"lasting": True},
        {"confidence": 0.5},
    ]
    for part in more:
        given = {"blast_radius": 0.0, "command": False, "breaking": "compatible", "confidence": 1.0}
        risk = assess_risk("schema-update", **{**given, **part})
        assert risk.score > least.score
        assert risk.explanation != least.explanation
        assert risk.to_dict().keys() >= {"breaking", "lasting", "uncertainty", "blastRadius"}
