# SPDX-License-Identifier: Apache-2.0
"""Raw requests, answer by answer: the same conversation with both servers gives the same answers, but where a step says why not."""

import time

import pytest

import pair_scenarios
import pair_search
import pair_wire


@pytest.mark.parametrize("scenario", pair_scenarios.ALL + pair_search.ALL, ids=lambda s: s.__name__)
def test_same_answers(servers, scenario):
    suffix = f"{scenario.__name__}{time.time_ns() % 1000000}"
    ours, theirs = pair_wire.Wire(servers["gyre"], suffix), pair_wire.Wire(servers["mlflow"], suffix)
    scenario(theirs)
    scenario(ours)
    assert len(theirs.steps) > 1
    parted = pair_wire.differences(ours, theirs)
    assert not parted, f"{len(parted)} of {len(theirs.steps)} answers differ:\n" + "\n".join(parted)


def test_differences_are_seen():
    """The comparison itself: a status, a key, a word and an order are told apart; ids, times and drawn names are not."""
    class Reply:
        def __init__(self, status, text):
            self.status_code, self.text, self.headers = status, text, {}

    def wire(status, text, part=None, instead=None):
        w = pair_wire.Wire("http://x", "s")
        w.steps.append(("GET /", pair_wire.Answer(Reply(status, text)), part, instead))
        return w

    one = wire(200, '{"run": {"run_id": "%s", "name": "calm-otter-1", "start_time": 1800000000000}, "l": [1, 2]}' % ("a" * 32))
    assert not pair_wire.differences(one, wire(200, '{"run": {"run_id": "%s", "name": "wise-ant-22", "start_time": 1800000000009}, "l": [1, 2]}' % ("b" * 32)))
    for other in ('{"run": {"run_id": "x", "name": "calm-otter-1", "start_time": 1800000000000}, "l": [1, 2]}', '{}',
                  '{"run": {"run_id": "%s", "name": "calm-otter-1", "start_time": 1800000000000}, "l": [2, 1]}' % ("a" * 32)):
        assert pair_wire.differences(one, wire(200, other))
    refused = '{"error_code": "X", "message": "a b c", "more": 1}'
    assert not pair_wire.differences(wire(400, refused), wire(400, '{"error_code": "X", "message": "a b c"}'))
    assert pair_wire.differences(wire(400, refused), wire(400, '{"error_code": "X", "message": "a b d"}'))
    assert not pair_wire.differences(wire(400, refused, "a b"), wire(400, '{"error_code": "X", "message": "a b d"}', "a b"))
    assert pair_wire.differences(wire(400, refused), wire(404, refused))
    assert pair_wire.differences(wire(400, refused), wire(400, '{"error_code": "Y", "message": "a b c"}'))
    assert not pair_wire.differences(wire(404, '{"error_code": "ENDPOINT_NOT_FOUND", "message": "no"}'), wire(404, "<html>"))
    assert not pair_wire.differences(wire(400, refused, None, 400), wire(200, "{}", None, 400))
    assert pair_wire.differences(wire(400, refused, None, 400), wire(400, refused, None, 400))
