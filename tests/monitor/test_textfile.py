"""--textfile: what Prometheus's own reader makes of the file is what the monitor said."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kft.errors import StorageError, UsageError
from kft.monitor.textfile import require_textfile, textfile_of, write_textfile
from tests.watched import accuracy, shares, watched


def read(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_it_says_what_the_monitor_said():
    result = watched(name='a "b"\\c')
    found = read(textfile_of(result, 1764361000.5))
    model = ("model", 'a "b"\\c')
    assert all(dict(key[1:])["model"] == result.name and key[0].startswith("kft_monitor_") for key in found)
    assert found["kft_monitor_drift", model] == 1
    assert found["kft_monitor_rows_total", model] == 2880
    assert found["kft_monitor_last_run_timestamp_seconds", model] == 1764361000.5
    assert found["kft_monitor_version_info", model, ("version", "3f9c2a7d1b20")] == 1
    for gauge in result.gauges:
        labels = (("gauge", gauge.name), ("kind", gauge.kind), model)
        assert found["kft_monitor_evidence_nats", *labels] == gauge.evidence
        assert found["kft_monitor_alarm", *labels] == bool(gauge.alarm)
        assert found.get(("kft_monitor_alarm_level_nats", *labels)) == gauge.threshold
    assert found["kft_monitor_quality", ("bound", "low"), ("metric", "accuracy"), model] == 0.641
    assert found["kft_monitor_class_share_ratio", ("bound", "value"), ("class", "negative"), model] == 0.6


def test_every_metric_says_what_it_is_and_of_which_type():
    families = list(text_string_to_metric_families(textfile_of(watched(), 0.0)))
    assert len(families) == 9 and all(family.documentation for family in families)
    assert {family.type for family in families} == {"gauge", "counter"}


def test_what_was_not_estimated_is_left_out_and_so_are_very_many_classes():
    refused = watched(accuracy=accuracy(value=None, low=None, high=None, refused=("no",)), shares=None)
    many = watched(shares=shares([f"class {number}" for number in range(101)]))
    assert "quality" not in textfile_of(refused, 0.0) and "class_share" not in textfile_of(refused, 0.0)
    assert "class_share" not in textfile_of(many, 0.0)


def test_it_is_replaced_whole_and_the_exporter_may_read_it(tmp_path):
    path = tmp_path / "kft.prom"
    write_textfile(path, watched(), 1.0)
    write_textfile(path, replace(watched(), rows=7), 2.0)
    assert 'kft_monitor_rows_total{model="product_reviews"} 7.0' in path.read_text()
    assert list(tmp_path.iterdir()) == [path] and stat.S_IMODE(path.stat().st_mode) == 0o644
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        write_textfile(tmp_path / "file" / "kft.prom", watched(), 1.0)


def test_a_file_that_no_exporter_reads_is_refused(tmp_path):
    assert require_textfile(tmp_path / "kft.prom") == tmp_path / "kft.prom"
    for path in (tmp_path / "kft.txt", Path("kft"), tmp_path):
        with pytest.raises(UsageError, match="the node exporter reads no such file"):
            require_textfile(path)
