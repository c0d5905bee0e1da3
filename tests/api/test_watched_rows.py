"""What `kft monitor` is handed: rows of any kind, or a folder in which there is nothing yet."""

import pytest

from kft.api.watched_rows import WatchRequest, open_rows
from kft.errors import DataError
from kft.monitor.counted import Counted


def test_the_folder_of_a_server_that_was_asked_nothing_is_said_to_be_empty(tmp_path):
    (tmp_path / ".lock").touch()
    with pytest.raises(DataError, match="the folder is empty") as error:
        open_rows(None, tmp_path, WatchRequest(None, None, Counted()))
    assert "kft serve --record" in str(error.value) and "once the server has answered" in error.value.next_step
