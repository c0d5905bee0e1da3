"""The Dockerfiles: what they install is what setup.cfg asks for. Building one needs Docker and a network."""

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def requirements(text):
    """Returns the requirements in a text, by package."""
    lines = [line.strip() for line in text.splitlines()]
    return {re.match(r"[\w.-]+", line)[0]: line for line in lines if line and not line.startswith("#")}


def own():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    return requirements(setup["options"]["install_requires"])


def test_a_tpu_gets_all_that_kft_needs_and_no_other_tensorflow():
    mine, theirs = own(), requirements((ROOT / "docker/requirements-tpu.txt").read_text())
    docker = (ROOT / "docker/tpu.Dockerfile").read_text()
    assert len(mine) > 20
    for name, line in mine.items():
        if name == "tensorflow":
            continue
        assert theirs.get(name) == line or (f'"{line}"' in docker and f'--no-deps "{line}"' in docker), name
    assert theirs["tensorflow-tpu"] == "tensorflow-tpu==2.20.0" and "tensorflow" not in theirs
    assert theirs["libtpu"] == "libtpu==0.0.21"  # a newer one aborts the import of tensorflow-tpu
    assert "tensorflow>=2.20," in mine["tensorflow"]


def test_every_pip_of_the_tpu_image_that_could_bring_tensorflow_in_takes_no_dependencies():
    docker = (ROOT / "docker/tpu.Dockerfile").read_text()
    installs = re.findall(r"pip install (.*)", docker)
    assert len(installs) == 3
    assert all("--no-deps" in line or "requirements-tpu.txt" in line for line in installs)


def test_the_variables_of_a_tpu_stand_in_the_image():
    docker = (ROOT / "docker/tpu.Dockerfile").read_text()
    for name in ("TPU_NAME=local", "PJRT_DEVICE=TPU", "NEXT_PLUGGABLE_DEVICE_USE_C_API=true"):
        assert name in docker
    assert re.search(r"TF_PLUGGABLE_DEVICE_LIBRARY_PATH=\S+/libtpu/libtpu\.so", docker)


def test_the_gpu_image_has_the_newest_tensorflow_that_was_tried():
    docker = (ROOT / "docker/gpu.Dockerfile").read_text()
    assert "tensorflow[and-cuda]>=2.21,<2.22" in docker and own()["tensorflow"].endswith(",<2.22")


def test_the_image_that_serves_has_a_part_of_what_kft_asks_for_and_no_tensorflow():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = setup["options.extras_require"]
    asked = own() | requirements("\n".join(extras[name] for name in ("serve", "gcs", "onnx")))
    theirs = requirements((ROOT / "docker/requirements-serve.txt").read_text())
    assert {"onnxruntime", "fastapi", "tokenizers"} <= set(theirs) and not {"tensorflow", "keras-nlp"} & set(theirs)
    assert {name: asked[name] for name in theirs} == theirs
    assert set(requirements(extras["serve"])) <= set(theirs)
    docker = (ROOT / "docker/serve.Dockerfile").read_text()
    assert "--no-deps /src" in docker and "--requirement /tmp/requirements-serve.txt" in docker
