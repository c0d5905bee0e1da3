"""What every test of malformed input has in common: it is read, or refused in kft's words, and nothing else happens."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

from kft.errors import KftError

FEW, MANY = 18, 130
HOW_MANY = [FEW, pytest.param(MANY, marks=pytest.mark.slow)]
"""For `@pytest.mark.parametrize("examples", HOW_MANY)`: some in every run of the tests, 130 in the slow ones."""


def survives(strategy: SearchStrategy[Any], meets: Callable[[Path, Any], None], examples: int) -> None:
    """Hands `examples` faults to `meets(folder, fault)`; what comes out is nothing, or a whole error of kft."""
    tried = []

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def survive(fault: Any) -> None:
        with tempfile.TemporaryDirectory() as outer:
            folder = Path(outer) / "inside"
            folder.mkdir()
            try:
                meets(folder, fault)
            except KftError as error:
                assert error.problem and error.where and error.received and "\n" in str(error)
            assert [path.name for path in Path(outer).iterdir()] == ["inside"], "something was written outside"
        tried.append(1)

    survive()
    assert len(tried) >= examples
