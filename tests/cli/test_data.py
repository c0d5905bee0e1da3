"""`kft data build` and `kft init` on the sources that are no single csv file."""

import json

import pandas as pd


def rows(count, start=0):
    return pd.DataFrame({"text": [f"text {start + i}" for i in range(count)], "label": ["a", "b"] * (count // 2)})


def test_build_then_look_at_what_was_built(kft_cli, tmp_path):
    for number in range(2):
        rows(20, start=100 * number).to_csv(f"part{number}.csv", index=False)
    code, out, _ = kft_cli("init", "part*.csv", "-o", "recipe.yaml")
    assert code == 0 and 'train: "part*.csv"' in (tmp_path / "recipe.yaml").read_text()
    code, out, err = kft_cli("data", "build", "recipe.yaml", "dest", "--json", "--quiet")
    built = json.loads(out)
    assert code == 0 and not err
    assert built["examples"] == {"train": 28, "valid": 6, "test": 6}
    assert built["features"] == {"id": "Text", "label": "ClassLabel", "text": "Text"}
    code, _, err = kft_cli("data", "build", "recipe.yaml", "dest")
    assert code == 2 and "the folder already exists; prepared data are never overwritten" in err
    code, out, err = kft_cli("data", "build", "recipe.yaml", "more", "--format", "array_record", "--set", "seed=1")
    assert code == 0 and 'tfds.builder_from_directory("more").as_data_source(split="train")' in out
    assert "next       kft train more/recipe.yaml" in out and "28 train" in err
    code, _, _ = kft_cli("init", "tfds:dest?split=train", "-o", "sub/again.yaml")
    text = (tmp_path / "sub" / "again.yaml").read_text()
    assert code == 0 and "train: tfds:../dest?split=train\n" in text and "test: tfds:../dest?split=test " in text


def test_init_reads_parquet_and_other_encodings(kft_cli, tmp_path):
    rows(20).to_parquet("train.parquet")
    assert kft_cli("init", "train.parquet", "-o", "a.yaml")[0] == 0
    assert "train: train.parquet" in (tmp_path / "a.yaml").read_text()
    (tmp_path / "old.csv").write_bytes(("text,label\n" + "für,a\nwas,b\n" * 9).encode("windows-1252"))
    code, _, err = kft_cli("init", "old.csv", "-o", "b.yaml")
    assert code == 0 and "encoding: windows-1252\n" in (tmp_path / "b.yaml").read_text(), err
    assert kft_cli("init", "old.csv", "-o", "d.yaml", "--encoding", "latin-1")[0] == 0
    assert "encoding: latin-1\n" in (tmp_path / "d.yaml").read_text()
    code, _, err = kft_cli("init", "old.csv", "-o", "c.yaml", "--encoding", "windows-125")
    assert code == 2 and "an encoding that Python knows" in err


def test_init_of_a_data_set_that_is_not_prepared(kft_cli, monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    code, _, err = kft_cli("init", "tfds:mnist?split=train", "-o", "a.yaml")
    assert code == 3 and "mnist is not prepared on this disk" in err
