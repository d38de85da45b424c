import pickle

import pytest

from affectflow.cache import errors
from affectflow.cache.errors import AffectflowError, BadCall, BadInput, UnknownName, unknown

TREE = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, AffectflowError)
]


@pytest.mark.parametrize("kind", TREE)
def test_every_error_travels_between_processes_with_its_message(kind):
    error = pickle.loads(pickle.dumps(kind("what was wanted, what came")))
    assert type(error) is kind
    assert str(error) == "what was wanted, what came"


@pytest.mark.parametrize("kind", TREE)
def test_wrong_calls_exit_with_2_and_all_else_with_1(kind):
    assert kind.exit_code == (2 if issubclass(kind, BadCall) else 1)


@pytest.mark.parametrize("kind", TREE)
def test_every_error_says_what_it_is_for(kind):
    assert kind.__doc__


def test_bad_input_is_a_value_error_for_callers_who_know_nothing_of_us():
    assert issubclass(BadInput, ValueError)
    assert issubclass(UnknownName, LookupError)


def test_unknown_names_the_nearest_and_all_known_in_order():
    message = str(unknown("extractor", "enrgy", ["mfcc", "energy"]))
    assert message == "unknown extractor 'enrgy'. Did you mean 'energy'? Known: energy, mfcc."


def test_unknown_gives_no_hint_where_nothing_is_near():
    assert str(unknown("node", "xyz", ["faces"])) == "unknown node 'xyz'. Known: faces."


def test_unknown_says_that_there_is_none():
    assert str(unknown("node", "xyz", [])) == "unknown node 'xyz'. Known: none."
