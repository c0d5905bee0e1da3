"""`kft completion`: scripts of click, and what they are answered."""

from pathlib import Path

import pytest

from tests import forked


@pytest.mark.parametrize(("shell", "place"), [("zsh", ".zfunc/_kft"), ("fish", ".config/fish/completions/kft.fish")])
def test_it_is_put_where_the_shell_looks(shell, place, kft_cli, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    code, printed, err = kft_cli("completion")
    assert code == 0 and "_KFT_COMPLETE" in printed, err
    code, out, _ = kft_cli("completion", shell, "--install")
    assert code == 0 and str(tmp_path / place) in "".join(out.split())
    assert Path(tmp_path / place).read_text().strip() == printed.strip()


def test_a_shell_that_is_not_known_is_refused(kft_cli, monkeypatch):
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    code, _, err = kft_cli("completion")
    assert code == 2 and "this shell is not known" in err and "tcsh" in err and "bash, zsh, fish" in err


def test_what_is_typed_is_completed():
    asked = {"_KFT_COMPLETE": "bash_complete", "COMP_WORDS": "kft retr", "COMP_CWORD": "1"}
    done = forked.run("kft.cli.main", env=asked)
    assert done.returncode == 0 and done.stdout.split() == ["plain,retrain"], done.stderr
    asked |= {"COMP_WORDS": "kft retrain --start w", "COMP_CWORD": "3"}
    assert forked.run("kft.cli.main", env=asked).stdout.split() == ["plain,warm"]
