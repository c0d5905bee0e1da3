"""The recipe: every key, its type, its limits and its default. No default stands anywhere else.

A ``*Spec`` is what a person asks for. All of them are frozen and refuse unknown keys; the loader
(load.py) turns pydantic's errors into one message that lists everything wrong at once.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BeforeValidator,
    Field,
    model_validator,
)

from kft.recipe.comparing import CompareSpec
from kft.recipe.evaluation import AuditSpec, EvaluateSpec, ExportSpec
from kft.recipe.pairs import PromptsSpec
from kft.recipe.personal_kinds import PersonalKind
from kft.recipe.spec import Spec
from kft.recipe.training import TrainSpec
from kft.recipe.values import (
    Encoding,
    LabelColumns,
    Name,
    Separator,
    SharesOrSources,
    Size,
    Sources,
    TaskName,
)

OWN = "own"
CHAT_TEMPLATES = (OWN, "gemma", "chatml", "llama3")
"""Chat templates by name: that of the backbone's folder, and those of kft/model/chats."""
PLAIN_TEMPLATE = "{prompt}\n"
ONE_TURN: Final = "one"
NO_TURN: Final = "text"
CONTEXT, PROMPT = "{context}", "{prompt}"
"""Places of a template."""


class BinsSpec(Spec):
    """Numeric ratings to classes: ``labels[i]`` holds ``edges[i-1] <= rating < edges[i]``."""

    edges: tuple[float, ...] = Field(min_length=1, description="rising limits between the classes")
    labels: tuple[str, ...] = Field(min_length=2, description="one name more than there are edges")

    @model_validator(mode="after")
    def _fits(self) -> BinsSpec:
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges that rise")
        if len(self.labels) != len(self.edges) + 1 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"{len(self.edges) + 1} different labels for {len(self.edges)} edges")
        return self


class GroupSpec(Spec):
    """Rows that must stay on one side of a split: a column, or what a pattern finds in a column."""

    column: str
    pattern: str | None = Field(None, description="regular expression; its first group names the group")

    @model_validator(mode="after")
    def _compiles(self) -> GroupSpec:
        if self.pattern is not None:
            try:
                groups = re.compile(self.pattern).groups
            except re.error as error:
                raise ValueError(f"a regular expression ({error})") from None
            if groups != 1:
                raise ValueError("a regular expression with exactly one group, such as '^(\\d+)_'")
        return self


def _column_alone(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


Group = Annotated[GroupSpec, BeforeValidator(_column_alone)]


class DataSpec(Spec):
    """Where the labelled examples are and how they are split."""

    train: Sources = Field(
        description="csv, tsv, json, jsonl, parquet, xlsx or CoNLL file, folder of images or documents by class, "
        "package:NAME, tfds:NAME[/CONFIG][:VERSION]?split=SPLIT, gs://BUCKET/FILE; or a glob, or a list of these"
    )
    valid: SharesOrSources = Field("15%", description="a share of train, or as train; selection looks at it")
    test: SharesOrSources = Field("15%", description="a share of train, or as train; sealed until evaluation")
    unlabelled: Sources | None = Field(
        None,
        description="as train, or txt files of one text a line; labels in it are never read, and rows that are copies "
        "of valid or test rows are left out. A train.teacher labels them, else the run's own confident answers do",
    )
    documents: Sources | None = Field(
        None,
        description="table with the columns id and text: what queries are answered with, where the label column "
        "holds ids; left out, it holds the documents themselves. Only for text-embedding",
    )
    negative: str | None = Field(
        None, description="column of a document that does not answer the query, though it looks as if it did"
    )
    context: str | None = Field(
        None,
        description="column of the passages that each prompt is answered from: a text, or a list of texts; only for "
        "causal-lm",
    )
    index: str | None = Field(
        None, description="in place of data.context: a folder of kft index; what it finds for each prompt"
    )
    passages: int = Field(3, ge=1, le=100, description="of data.index, at most so many, each of another document")
    added: tuple[str, ...] = Field(
        (),
        max_length=1000,
        description="files of rows that were labelled later, one a round, as kft retrain names them: each is split by "
        "itself, rows that copy older ones are left out, and what was train, valid and test stays so",
    )
    new_labels: bool = Field(
        False, description="whether data.added may bring labels that data.train does not have; else they are refused"
    )
    encoding: Encoding | None = Field(
        None, description="of csv, tsv, txt and jsonl files that are not UTF-8; windows-1252 is found and said"
    )
    separator: Separator | None = Field(
        None,
        description="what parts the columns of csv, tsv and txt files, one for all: comma, semicolon, tab or pipe, or "
        "the character; found and said when left out",
    )
    html: Literal["keep", "unescape"] = Field(
        "keep", description="unescape: `&amp;` in a text becomes `&`, in training and in every later use alike"
    )
    columns: tuple[str, ...] | None = Field(None, description="column names of a file without a header")
    text: str | None = Field(None, description="text column; guessed and shown when left out")
    text_pair: str | None = Field(
        None, description="column of the second text; only for text-pairs and text-similarity"
    )
    document: str | None = Field(
        None, description="column of paths to .txt, .md, .html and .pdf files, which are read in place of a text column"
    )
    image: str | None = Field(None, description="column of image paths in a table; guessed and shown when left out")
    label: LabelColumns | None = Field(
        None,
        description="label column; guessed and shown when left out. A list: a column of yes and no, or of a share, "
        "for each label; or a column for each annotator",
    )
    texts: str | None = Field(
        None,
        description="column of plain texts without prompts, whose tokens are learned as far as max_tokens reaches: "
        "all of causal-lm, hidden ones of masked-lm; only for these two",
    )
    messages: str | None = Field(
        None,
        description="column of chats, each a list of turns with role and content, in place of prompts and responses; "
        "only for causal-lm",
    )
    label_columns_hold: Literal["marks", "shares", "votes"] | None = Field(
        None,
        description="marks: yes and no of each label; shares: of each class its share, or votes for it; votes: what "
        "each annotator said; found and said when left out, refused where it can be several",
    )
    label_separator: str | None = Field(
        None, min_length=1, description="between the labels of one cell; only for multi-label; guessed when left out"
    )
    tags: Literal["plain", "iob", "bioes", "iob-suffix", "bioes-suffix"] | None = Field(
        None,
        description="what one tag a word is: the name of a kind; B-KIND and I-KIND; or with a letter for the end of a "
        "span too, as in BIOES and BILOU; suffix: the letter stands behind; found and said when left out",
    )
    offsets: (
        Literal[
            "characters", "utf-16", "bytes", "words",
            "characters-inclusive", "utf-16-inclusive", "bytes-inclusive", "words-inclusive",
        ]
        | None
    ) = Field(
        None,
        description="what start and end of spans count; inclusive: the end is the last one itself; found and said when "
        "left out",
    )  # fmt: skip
    id: str | None = Field(None, description="column with a unique id; default: file and row number")
    group: Group | None = Field(
        None, description="rows of one group never cross a split; a column, or column and pattern"
    )
    keep_together: Literal["nothing", "copies", "similar"] = Field(
        "copies",
        description="what never crosses a split, beside groups: copies and near-copies; or all that looks alike to the "
        "frozen backbone, such as photos of one shelf",
    )
    time: str | None = Field(None, description="column of dates or numbers: the oldest rows are train, the newest test")
    slices: tuple[str, ...] = Field((), description="columns whose values are looked at one by one, such as region")
    sensitive: tuple[str, ...] = Field(
        (), description="columns of groups that must not be served worse, such as gender; never read by the model"
    )
    redact: tuple[PersonalKind, ...] = Field(
        (), description="personal data replaced by a placeholder such as [EMAIL], in training and in answering"
    )
    bins: BinsSpec | None = Field(None, description="turns numeric ratings into classes")
    unusable_rows: Literal["error", "skip"] = Field(
        "error", description="empty texts, missing labels: stop, or list them and leave them out"
    )
    split_seed: int = Field(0, ge=0, le=2**63 - 1, description="apart from `seed`, so that runs share one test split")

    @model_validator(mode="after")
    def _one_context(self) -> DataSpec:
        if self.context is not None and self.index is not None:
            raise ValueError("context, a column of passages, or index, which finds them: one of the two")
        return self

    @property
    def grounded(self) -> bool:
        """Whether prompts have passages that they are answered from."""
        return self.context is not None or self.index is not None

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns that make a label together; none where one column holds the labels."""
        return self.label if isinstance(self.label, tuple) else ()

    @property
    def label_column(self) -> str | None:
        """The column of labels; where several make one, that which is made of them."""
        return " + ".join(self.label) if isinstance(self.label, tuple) else self.label


class ImageSpec(Spec):
    """How a photo becomes the square that a backbone takes."""

    size: int | None = Field(None, ge=16, le=2048, description="pixels a side; default: the backbone's own")
    fit: Literal["crop", "stretch", "pad"] = Field("crop", description="crop: the middle; pad: nothing is lost")


class WindowsSpec(Spec):
    """How a long text is read in windows."""

    overlap: int | None = Field(
        None,
        ge=1,
        description="tokens that a window has in common with the one before; default: an eighth of max_tokens",
    )
    most: int = Field(32, ge=1, le=1024, description="windows of a text; what lies behind them is not read")
    pooling: Literal["mean", "max", "attention"] = Field(
        "mean", description="one vector of a text from those of its windows; attention: learned weights"
    )


class ModelSpec(Spec):
    """Which pretrained backbone, and what is attached to it."""

    backbone: str = Field("minilm-l6", description="a name from `kft models`, or a Hugging Face BERT folder")
    start_from: str | None = Field(
        None,
        min_length=1,
        description="a finished run of the same backbone, on any task: its best weights take the place of the "
        "pretrained ones, such as after masked or plain language modelling on texts of one's own domain",
    )
    weights: Literal["pretrained", "random"] = Field(
        "pretrained", description="random: from scratch, to measure what pretraining is worth"
    )
    blocks: int | None = Field(
        None, ge=1, le=1000, description="the backbone's first N blocks alone: faster, less able; default: all of them"
    )
    max_tokens: int = Field(128, ge=4, le=8192, description="longer texts are cut; the share is printed")
    long_text: Literal["cut", "head-and-tail", "windows"] = Field(
        "cut",
        description="what becomes of a text over max_tokens: cut: its beginning is read; head-and-tail: its beginning "
        "and its end, half of each; windows: all of it, in windows of max_tokens that overlap",
    )
    windows: WindowsSpec = Field(default_factory=WindowsSpec)
    image: ImageSpec = Field(default_factory=ImageSpec)
    pooling: Literal["auto", "mean", "cls", "max", "attention", "last"] = Field(
        "auto", description="one vector from many: auto is what suits the backbone, mean for most"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="in the head and in the blocks that train")
    prompts: PromptsSpec = Field(
        default_factory=PromptsSpec,
        description="texts before queries and documents; only for text-embedding and text-similarity",
    )

    quantize: Literal["none", "int8"] = Field(
        "none", description="int8: the backbone's matrices in 8 bits, frozen, with adapters in float32; for causal-lm"
    )
    template: str = Field(
        PLAIN_TEMPLATE,
        max_length=20_000,
        description="what a language model reads of a prompt: any text around {prompt}; or a chat template: own, the "
        "backbone's, which chats get by default, gemma, chatml or llama3; only for causal-lm",
    )
    turns: Literal["one", "all", "last", "text"] = Field(
        ONE_TURN,
        description="one: a prompt and its response; text: a text of data.texts; of data.messages, which of the "
        "assistant's turns are learned and judged: all, their default, or the last; only for causal-lm",
    )
    context_template: str = Field(
        "{context}\n\n{prompt}",
        max_length=20_000,
        description="what takes the place of a prompt that has passages: text around {context} and {prompt}; only for "
        "causal-lm",
    )
    context_tokens: int | None = Field(
        None, ge=1, le=8192, description="of a prompt's tokens, those for passages at most; default: what it leaves"
    )
    response_tokens: int | None = Field(
        None,
        ge=1,
        le=8192,
        description="of max_tokens, those kept for the response; a longer one is cut, and said. Default: a half",
    )
    choices: tuple[str, ...] = Field(
        (),
        max_length=1000,
        description="all responses that there are, at least two: nothing else is written; only for causal-lm",
    )

    @property
    def room(self) -> int:
        """Tokens of a response that are read or written at most, its end counted."""
        return self.response_tokens or max(1, self.max_tokens // 2)

    @property
    def in_windows(self) -> bool:
        """Whether long texts are read in windows."""
        return self.long_text == "windows"

    @property
    def overlap(self) -> int:
        """Tokens that two windows have in common."""
        return self.windows.overlap or max(1, self.max_tokens // 8)

    @property
    def without_learned_pooling(self) -> ModelSpec:
        """The same with poolings that have no weights of their own: what there is before anything is trained."""
        plain: dict[str, Any] = {"pooling": "auto"} if self.pooling == "attention" else {}
        if self.windows.pooling == "attention":
            plain["windows"] = self.windows.model_copy(update={"pooling": "mean"})
        return self.model_copy(update=plain)

    @model_validator(mode="after")
    def _leaves_room(self) -> ModelSpec:
        if self.template not in CHAT_TEMPLATES and self.template.count("{prompt}") != 1:
            raise ValueError("a template with {prompt} in it, once; or one of " + ", ".join(CHAT_TEMPLATES))
        if self.room >= self.max_tokens:
            raise ValueError(f"response_tokens below max_tokens, {self.max_tokens}: the rest is the prompt's")
        return self

    @model_validator(mode="after")
    def _differ(self) -> ModelSpec:
        distinct = {each for each in self.choices if each.strip()}
        if self.choices and (len(distinct) < len(self.choices) or len(distinct) < 2):
            raise ValueError("at least two choices, each another one and none of them empty")
        return self

    @model_validator(mode="after")
    def _places_context(self) -> ModelSpec:
        if self.context_template.count(CONTEXT) != 1 or self.context_template.count(PROMPT) != 1:
            raise ValueError("a context_template with {context} and {prompt} in it, each once")
        return self

    @model_validator(mode="after")
    def _windows_fit(self) -> ModelSpec:
        if not self.in_windows and self.windows != WindowsSpec():
            raise ValueError("long_text: windows, which the keys of `windows` belong to; or none of these keys")
        if self.in_windows and self.overlap > self.max_tokens // 2:
            raise ValueError(f"windows.overlap of at most half of max_tokens, {self.max_tokens // 2}")
        return self


class FeaturesSpec(Spec):
    """What the frozen blocks compute is kept on disk, where it pays, and reused by every epoch, phase and run."""

    store: Literal["auto", "off"] = Field("auto", description="auto: where a whole block is frozen and it fits")
    dtype: Literal["own", "float16"] = Field("own", description="float16 takes half the room, and is not exact")
    precision: Literal["float32", "int8"] = Field(
        "float32", description="int8: frozen blocks in products of 8 bits, on a CPU, by kft[int8]; for texts alone"
    )
    cache_limit: Size = Field("20 GB", description="of all stores; the one used longest ago makes room")

    @property
    def in_int8(self) -> bool:
        """Whether the frozen blocks are computed in int8."""
        return self.precision == "int8"


class RecipeSpec(Spec):
    """A whole recipe."""

    task: TaskName
    name: Name | None = Field(None, description="default: the file's name")
    seed: int = Field(0, ge=0, le=2**32 - 1)
    data: DataSpec
    model: ModelSpec = Field(default_factory=ModelSpec)
    train: TrainSpec = Field(default_factory=TrainSpec)
    features: FeaturesSpec = Field(default_factory=FeaturesSpec)
    audit: AuditSpec = Field(default_factory=AuditSpec)
    evaluate: EvaluateSpec = Field(default_factory=EvaluateSpec)
    export: ExportSpec = Field(default_factory=ExportSpec)
    compare: CompareSpec = Field(default_factory=CompareSpec)
