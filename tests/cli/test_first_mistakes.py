"""A newcomer's first mistakes: one clear message with the next command, the exit code, nothing half-written."""

import pytest

from tests import tiny


@pytest.fixture
def recipe(tmp_path, tiny_folder):
    return tiny.recipe(tmp_path, tiny_folder, rows=60, phases=[tiny.PROBE])


def check(result, code, *texts):
    found, out, err = result
    assert found == code, err
    assert out == ""
    for text in texts:
        assert text in err
    assert "Traceback" not in err
    return err


def test_wrong_column(kft_cli, recipe, tmp_path):
    err = check(kft_cli("train", recipe, "--set", "data.text=txt"), 2, "no column 'txt'; did you mean 'text'?")
    assert "columns text, label" in err and "--set data.text=text" in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "there are no rows"),
        ("text,label\n", "there are no rows"),
        ("text,label\ngreat,good\nbad\n", "another number of fields than there are columns"),
        ("text,label\n" + "great thing,good\n" * 30, "one class only"),
        ("text,label\n,good\nbad,poor\nfine,good\n", "1 row cannot be used: empty text (1)"),
    ],
)
def test_files_that_cannot_be_learnt_from(kft_cli, recipe, tmp_path, content, text):
    (tmp_path / "reviews.csv").write_text(content)
    check(kft_cli("train", recipe), 2, text, "reviews.csv", "next:")
    assert not (tmp_path / "runs").exists()


def test_not_utf8(kft_cli, recipe, tmp_path):
    (tmp_path / "reviews.csv").write_bytes(b"text,label\nsch\x81n,gut\n")  # no sign of windows-1252 either
    check(kft_cli("train", recipe), 2, "not UTF-8", "line 2", "0x81", "iconv")


def test_a_label_seen_only_in_test(kft_cli, recipe, tmp_path):
    (tmp_path / "test.csv").write_text("text,label\nthe battery is great,positiv\nbad,negative\n")
    err = check(
        kft_cli("train", recipe, "--set", "data.test=test.csv"), 2, "labels that are in test but never in train"
    )
    assert "'positiv' (1)" in err and "negative, positive" in err


def test_a_typo_in_a_key(kft_cli, recipe):
    check(
        kft_cli("train", recipe, "--set", "train.batchsize=8"),
        2,
        "train.batchsize: unknown key; did you mean batch_size?",
    )


def test_an_unknown_backbone(kft_cli, recipe, tmp_path):
    check(kft_cli("train", recipe, "--set", "model.backbone=minilm"), 2, "unknown backbone 'minilm'", "kft models")
    assert not (tmp_path / "runs").exists()


def test_a_missing_file_and_a_missing_recipe(kft_cli, recipe, tmp_path):
    check(kft_cli("train", recipe, "--set", "data.train=review.csv"), 2, "did you mean", "reviews.csv")
    check(kft_cli("train", "recipes.yaml"), 2, "no recipe at recipes.yaml; did you mean recipe.yaml?", "kft init")


def test_a_table_in_place_of_a_recipe(kft_cli, recipe, tmp_path):
    step = "kft init reviews.csv -o recipe.yaml writes a recipe for it"
    check(kft_cli("train", "reviews.csv"), 2, "reviews.csv is a table, not a recipe", step)
    (tmp_path / "reviews.xlsx").write_bytes(b"PK")
    check(kft_cli("check", "reviews.xlsx"), 2, "reviews.xlsx is a table, not a recipe")


def test_a_recipe_is_written_over_when_asked_and_nothing_else_is(kft_cli, recipe, tmp_path):
    check(kft_cli("init", "reviews.csv", "-o", "recipe.yaml"), 2, "already exists", "write over it with --force")
    check(kft_cli("init", "reviews.csv", "-o", "reviews.csv", "--force"), 2, "what is there is no recipe", "another -o")
    assert (tmp_path / "reviews.csv").read_text().startswith("text,label")
    assert kft_cli("init", "reviews.csv", "-o", "new.yaml")[0] == 0
    drafted = (tmp_path / "new.yaml").read_text()
    (tmp_path / "new.yaml").write_text(drafted + "# edited")
    assert kft_cli("init", "reviews.csv", "-o", "new.yaml", "--force")[0] == 0
    assert (tmp_path / "new.yaml").read_text() == drafted


def test_a_table_without_labels_and_one_of_another_ending(kft_cli, tmp_path):
    (tmp_path / "plain.csv").write_text("day,text\n" + "".join(f"{n},text {n}\n" for n in range(9)))
    step = "--label COLUMN; where there are no labels yet, add such a column"
    check(kft_cli("init", "plain.csv", "-o", "new.yaml"), 2, "no column looks like the label", step)
    (tmp_path / "plain.tab").write_text("text\tlabel\n")
    check(kft_cli("init", "plain.tab", "-o", "new.yaml"), 2, "'.tab' are not read", "rename it to .tsv")


def test_an_existing_run_folder_is_refused(kft_cli, recipe, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    check(kft_cli("train", recipe, "--run", "mine"), 2, "a run is never overwritten", "--run DIR")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_devices_that_are_not_there(kft_cli, recipe):
    check(kft_cli("train", recipe, "--devices", "gpus"), 2, "--devices gpus is none that kft knows", "kft doctor")


def test_no_network_with_a_cold_cache(kft_cli, recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    err = check(kft_cli("train", recipe, "--set", "model.backbone=minilm-l6"), 3, "minilm-l6", "kft doctor")
    assert "sha256" not in err
    assert not (tmp_path / "runs").exists()
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == []


def test_a_run_that_is_none(kft_cli, tmp_path):
    (tmp_path / "runs" / "recipe-1").mkdir(parents=True)
    check(kft_cli("predict", "runs/recipe-1", "a text"), 2, "no run at runs/recipe-1", "kft train RECIPE")
    check(kft_cli("evaluate", "runs/recipe-2"), 2, "did you mean runs/recipe-1?", "kft runs runs lists")


def test_usage_errors_exit_2(kft_cli):
    assert kft_cli("train")[0] == 2
    assert kft_cli("trian")[0] == 2
    assert kft_cli("train", "a.yaml", "--sed", "1")[0] == 2


def test_debug_shows_the_traceback(kft_cli, recipe):
    code, _, err = kft_cli("train", recipe, "--set", "data.text=txt", "--debug")
    assert code == 2 and "Traceback" in err and "DataError" in err
