"""What the page sees of the disk: its folder, and nothing else."""

import pytest

from kft.ui import folder as rooms

OUTSIDE = ("../secret.csv", "/etc/passwd", "a/../../secret.csv", ".hidden.csv", "sub/.hidden.csv", "", "a\0b",
           "a\nb.csv", "..\\secret.csv", "tfds://x", "gs://bucket/x.csv", "link.csv", "linked/secret.csv")  # fmt: skip


@pytest.fixture
def full(folder):
    (folder.parent / "secret.csv").write_text("text,label\na,b\n")
    (folder / "link.csv").symlink_to(folder.parent / "secret.csv")
    (folder / "linked").symlink_to(folder.parent)
    (folder / ".hidden.csv").write_text("text,label\n")
    (folder / "notes.md").write_text("no data")
    for name in ("apple", "pear"):
        (folder / "photos" / name).mkdir(parents=True)
        (folder / "photos" / name / "1.jpg").write_bytes(b"")
    return folder


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_out_of_the_folder_is_refused_by_name(full, page, name):
    for path in ("/look", "/recipe"):
        error = page.post(path, json={"name": name}).json()["error"]
        text = error["problem"] + error.get("received", "")
        assert "the page reads nothing outside its folder" in text or "the request is none of this page's" in text
    assert sorted(each.name for each in full.glob("*.yaml")) == []


def test_tables_are_found_among_any_number_of_photos(full, page):
    for number in range(3000):
        (full / f"{number}.png").touch()
    for number in range(230):
        (full / f"table-{number:03}.csv").touch()
    state = page.get("/state").json()
    names = [each["name"] for each in state["data"]]
    assert names[:2] == ["photos", "table-000.csv"] and len(names) == rooms.MOST_LISTED
    assert state["more"] == 32, "photos, tickets.csv, and 230 tables"


def test_a_run_that_cannot_be_read_is_named(full, page):
    (full / "runs" / "a-1").mkdir(parents=True)
    (full / "runs" / "a-1" / "recipe.yaml").write_text("task: text-classification\ndata: {train: tickets.csv}\n")
    found = page.get("/runs").json()
    assert found["runs"] == [] and "no receipt.json" in found["unreadable"]["runs/a-1"]


@pytest.mark.parametrize("name", ["../a.yaml", "/tmp/a.yaml", "link.csv", "--set.yaml", "", "tickets.csv"])
def test_nothing_of_elsewhere_is_started(full, page, name):
    assert page.post("/start", json={"kind": "check", "recipe": name}).status_code == 422
    assert page.post("/start", json={"kind": "train", "recipe": "a.yaml", "run": "../runs/x"}).status_code == 422
    assert page.post("/start", json={"kind": "train", "recipe": "a.yaml", "run": "runs/../../x"}).status_code == 422
    assert not (full / rooms.OWN).exists()


@pytest.mark.parametrize(
    "name",
    [
        "runs/a/../../secret.html",
        "tickets.csv",
        "runs/a/receipt.json",
        "runs/../report.html",
        "%2e%2e/secret.csv",
        "runs/a%2fb/report.html",
        "runs/linked/report.html",
    ],
)
def test_only_pages_that_kft_wrote_are_shown(full, page, name):
    (full / "runs" / "a").mkdir(parents=True)
    (full.parent / "report.html").write_text("a secret")
    (full / "runs" / "linked").symlink_to(full.parent)
    found = page.get(f"/shown/{name}")
    assert found.status_code in (404, 422) and "a secret" not in found.text


def test_a_page_is_shown_as_it_was_made_and_runs_nothing(full, page):
    (full / "runs" / "a").mkdir(parents=True)
    (full / "runs" / "a" / "report.html").write_text("<p>made by kft report</p>")
    found = page.get("/shown/runs/a/report.html")
    assert found.text == "<p>made by kft report</p>"
    assert found.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


def test_tables_and_folders_of_images_are_listed(full, page):
    state = page.get("/state").json()
    assert [(each["name"], each["kind"]) for each in state["data"]] == [
        ("photos", "folder of images"),
        ("tickets.csv", "file"),
    ]


def test_recipes_are_listed_and_other_yaml_is_not(full, page):
    (full / "mine.yaml").write_text("task: text-classification\n")
    (full / "compose.yaml").write_text("services: {}\n")
    assert page.get("/state").json()["recipes"] == ["mine.yaml"]


def test_a_file_is_taken_in_and_none_is_overwritten(full, page):
    before = (full / "tickets.csv").read_bytes()
    assert page.post("/files?name=tickets.csv", content=b"text,label\n").json() == {"name": "tickets-2.csv"}
    assert page.post("/files?name=tickets.csv", content=b"other").json() == {"name": "tickets-3.csv"}
    assert (full / "tickets.csv").read_bytes() == before and (full / "tickets-2.csv").read_bytes() == b"text,label\n"
    assert list((full / rooms.OWN).iterdir()) == []


@pytest.mark.parametrize("name", ["a.exe", "../a.csv", ".bashrc", "sub/a.csv", "recipe.yaml", ""])
def test_other_files_are_not_taken_in(full, page, name):
    found = page.post("/files", params={"name": name}, content=b"x")
    assert found.status_code == 422 and "error" in found.json()
    assert not (full / rooms.OWN).exists() or list((full / rooms.OWN).iterdir()) == []


def test_what_is_too_large_is_told_with_the_limit_and_nothing_is_left(full, page, monkeypatch):
    monkeypatch.setattr(rooms, "LARGEST_FILE", 2**20)
    found = page.post("/files?name=big.csv", content=b"x" * (2**20 + 1)).json()["error"]
    assert found["problem"] == "the file is larger than this page takes" and found["expected"] == "at most 1 MB"
    assert "kft init FILE" in found["next_step"]
    assert not (full / "big.csv").exists() and list((full / rooms.OWN).iterdir()) == []
    (full / "big.csv").write_bytes(b"x" * (2**20 + 1))
    assert page.post("/look", json={"name": "big.csv"}).json()["error"]["problem"] == found["problem"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"name": 1}', b'{"other": "x"}', b'"x"', b"{" * 10_000, b"\xff"])
def test_a_request_that_is_none_of_the_pages_is_refused(page, body):
    found = page.post("/look", content=body)
    assert found.status_code == 422 and "none of this page's" in found.json()["error"]["problem"]


def test_a_request_of_many_bytes_is_refused(page):
    found = page.post("/try", content=b" " * (2**20 + 1)).json()["error"]
    assert found["expected"] == "at most 1 MB"
