"""Every error says where, what was received, what was expected, what to do next."""

import inspect

import pytest

from kft import errors
from kft.errors import AssetError, DataError, KftError, RecipeError, StorageError, TrainingError, UsageError


def family() -> list[type[KftError]]:
    return [
        member
        for _, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, KftError) and member.__module__ == "kft.errors"
    ]


def test_all_parts_in_order():
    error = KftError(
        "no such column",
        where="tickets.csv",
        received="'txt'",
        expected="'text'",
        next_step="set data.text",
    )
    assert str(error).splitlines() == [
        "no such column",
        "  where:    tickets.csv",
        "  received: 'txt'",
        "  expected: 'text'",
        "  next:     set data.text",
    ]


def test_parts_that_are_missing_leave_no_line():
    assert str(KftError("the file is empty")) == "the file is empty"
    assert str(KftError("the file is empty", next_step="fill it")) == "the file is empty\n  next:     fill it"


def test_parts_stay_readable_for_programs():
    error = DataError("no such column", where="tickets.csv", received="'txt'")
    assert (error.problem, error.where, error.received) == ("no such column", "tickets.csv", "'txt'")
    assert error.expected is None
    assert error.next_step is None
    assert error.args == ("no such column",)


def test_the_family_is_complete():
    assert len(family()) >= 9
    for member in family():
        assert member.__doc__, member


@pytest.mark.parametrize("member", family())
def test_exit_codes_are_documented_ones(member):
    assert member("problem").exit_code in (1, 2, 3)


def test_the_persons_mistake_is_2_and_the_worlds_is_3():
    assert {error.exit_code for error in (UsageError, RecipeError, DataError)} == {2}
    assert {error.exit_code for error in (AssetError, StorageError, TrainingError)} == {3}


def test_one_except_catches_them_all():
    for member in family():
        with pytest.raises(KftError, match="problem"):
            raise member("problem")
