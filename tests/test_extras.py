"""Extras: what setup.cfg lists, what the errors name, and what is installed are one thing."""

import configparser
import re
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from kft.errors import ModelError, UsageError
from kft.extras import EXTRAS, install, lacking, missing, require

TOOLS = {"all", "test", "dev", "docs"}


def asked():
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[1] / "setup.cfg", encoding="utf-8")
    return {name: text.split() for name, text in setup["options.extras_require"].items()}


def test_every_extra_has_its_modules_and_all_brings_every_one():
    extras = asked()
    assert set(EXTRAS) == set(extras) - TOOLS and len(EXTRAS) > 12
    assert set(extras["all"]) == {f"kft[{name}]" for name in EXTRAS}


def test_each_module_is_one_of_a_package_that_its_extra_asks_for():
    owners, seen = packages_distributions(), 0
    for name, packages in asked().items():
        wanted = {re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in packages}
        for module in set(EXTRAS.get(name, ())) & set(owners):
            assert wanted & {owner.lower().replace("_", "-") for owner in owners[module]}, (name, module)
            seen += 1
    assert seen > 12


def test_what_is_missing_is_told_with_the_extra_that_brings_it():
    require("serve", ["json"], "never said")
    with pytest.raises(UsageError) as caught:
        require("serve", ["json", "no_such_a", "no_such_b"], "kft serve needs packages", where="here")
    error = caught.value
    assert (error.problem, error.where) == ("kft serve needs packages", "here")
    assert (error.received, error.expected) == ("no no_such_a, no no_such_b", "the extra serve")
    assert error.next_step == install("serve") == "pip install 'kft[serve]'"
    assert missing(["json", "no_such_a"]) == ["no_such_a"]
    assert isinstance(lacking("int8", "a", "b", error=ModelError), ModelError)
