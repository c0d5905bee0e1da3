"""Every file of kft/audit/checks is a check: nothing else has to be written anywhere."""

from pathlib import Path

from kft.audit import all_checks, checks
from kft.audit.check import CHECKS


def test_every_file_is_a_check_in_its_place():
    files = [path for path in Path(checks.__file__).parent.glob("*.py") if path.stem != "__init__"]
    own = [check for check in CHECKS if check.rank < 1000]
    assert len(files) == len(own) >= 20
    ranks = [check.rank for check in own]
    assert ranks == sorted(set(ranks))
    assert all_checks.CHECKS is CHECKS
