import copy

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from evolution_lab.errors import InvalidOverlayError
from evolution_lab.suggestions.json_patch import apply_json_patch, json_patch, same_json
from evolution_lab.suggestions.overlays import (
    apply_overlay,
    json_path,
    make_overlay,
    targets_matched,
)

names = st.one_of(
    st.sampled_from(["a", "b", "paths", "/o'clock/{id}", '"', "\\", "*", "", "a.b", "$ref", "\n"]),
    st.text(max_size=3).filter(lambda name: all(not "\ud800" <= c <= "\udfff" for c in name)),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.text(max_size=2)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=12,
)
documents = st.dictionaries(names, values, max_size=4)


@given(values, values)
@settings(max_examples=200, deadline=None)
def test_a_json_patch_makes_one_document_of_the_other(before, after):
    kept = copy.deepcopy(before)
    assert same_json(apply_json_patch(before, json_patch(before, after)), after)
    assert same_json(before, kept)


@given(documents, documents)
@settings(max_examples=200, deadline=None)
def test_an_overlay_makes_one_document_of_the_other_or_says_that_none_can(before, after):
    # Beside what may change stands a document's body, whose name every target can say.
    before, after = {"openapi": "3.1.0", "x": before}, {"openapi": "3.1.0", "x": after}
    kept = copy.deepcopy(before)
    if same_json(before, after):
        with pytest.raises(InvalidOverlayError, match="nothing changes"):
            make_overlay(before, after, title="Change.")
        return
    overlay = make_overlay(before, after, title="Change.")
    assert all(count == 1 for count in targets_matched(before, overlay))
    assert same_json(apply_overlay(before, overlay), after)
    assert same_json(before, kept)


def test_what_no_target_can_select_is_refused():
    with pytest.raises(InvalidOverlayError, match="no overlay target can select"):
        make_overlay({"a": 1, "b": 2}, {"a": 1}, title="Remove b.")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("$.pathz", "selects 0"),
        ("$.openapi", "selects 0"),
        ("$..*", "must select at least one and nothing else"),
        ("paths", "is no JSONPath"),
        (7, "must be a JSONPath"),
    ],
)
def test_a_target_that_selects_no_object_is_refused(target, reason):
    document = {"openapi": "3.1.0", "paths": {"/a": {}}}
    with pytest.raises(InvalidOverlayError, match=reason):
        apply_overlay(document, {"actions": [{"target": target, "update": {}}]})


def test_hostile_names_are_selected_as_they_are():
    from jsonpath_rfc9535 import find

    document = {"paths": {"/a'] , $..['b": {"x": {}}, "b": {"x": {}}}}
    path = ("paths", "/a'] , $..['b", "x")
    (node,) = find(json_path(path), document)
    assert node.value is document["paths"]["/a'] , $..['b"]["x"]


def test_an_item_of_a_list_changes_with_its_list():
    before = {"paths": {"/a": {"get": {"parameters": [{"name": "q"}, {"name": "limit"}]}}}}
    after = copy.deepcopy(before)
    after["paths"]["/a"]["get"]["parameters"][1]["required"] = True
    overlay = make_overlay(before, after, title="Require limit.")
    assert [set(action) for action in overlay["actions"]] == [
        {"target", "remove"},
        {"target", "update"},
    ]
    assert apply_overlay(before, overlay) == after
