"""Names that go: who is warned, and what stops a version that should no longer have them."""

import pytest

from kft import deprecation
from kft.deprecation import deprecated


def doubled(number):
    """Doubles."""
    return 2 * number


def test_the_caller_is_warned_and_gets_the_answer():
    old = deprecated(since="0.1.0", until="99.0.0", instead="kft.twice")(doubled)
    with pytest.warns(
        DeprecationWarning, match=r"^doubled is deprecated since kft 0\.1\.0 and goes in 99\.0\.0: use "
    ) as seen:
        assert old(4) == 8
    assert seen[0].filename == __file__  # the line of the caller, not of kft
    assert (old.__name__, old.__doc__) == ("doubled", "Doubles.")


@pytest.mark.parametrize(("here", "fails"), [("0.9.9", False), ("0.10.0", True), ("1.0.0", True)])
def test_the_version_that_should_not_have_it_does_not_load(monkeypatch, here, fails):
    monkeypatch.setattr(deprecation, "__version__", here)
    decorate = deprecated(since="0.1.0", until="0.10.0", instead="kft.twice")
    if fails:
        with pytest.raises(RuntimeError, match=f"kft {here} should no longer have doubled, .* in 0.10.0: remove it"):
            decorate(doubled)
    else:
        decorate(doubled)
