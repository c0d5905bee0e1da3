"""Lengths of texts: nothing to read, hardly anything, far too much, and what is cut at ``model.max_tokens``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from kft.audit.check import Check
from kft.audit.texts import counted, ids_of, texts_of, without_markup
from kft.audit.view import AuditView
from kft.recipe.schema import ModelSpec
from kft.records.estimate import percent
from kft.records.findings import Finding
from kft.split.assign import SPLITS

FEWEST_CHARACTERS = 3
"""Letters and digits; with fewer there is hardly anything to read."""
MANY_TIMES, MANY_CHARACTERS = 20, 2000
"""A text of that many medians, and so many characters, is of another kind than the rest."""
CUT_NOTED, CUT_WARNED, LOST_WARNED = 0.01, 0.25, 0.10
WHOLE, MOST_WINDOWS = 0.9, 1024
"""Where fewer texts than this share would be read whole, windows are advised; the most that a recipe may ask for."""
SIZES = (16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 8192)


def check_lengths(view: AuditView) -> Iterable[Finding]:
    """Looks for texts that are empty, very short, very long or cut."""
    ids = ids_of(view.all)
    yield from judge_texts(ids, texts_of(view.all))
    if view.tokens:
        tokens = np.concatenate([view.tokens[name] for name in SPLITS])
        model = view.spec.model
        able = "model.long_text" in set(view.task.keys) - set(view.task.refuses)
        if view.lost:
            lost = np.concatenate([view.lost[name] for name in SPLITS])
            yield from judge_written(ids, tokens, lost, model)
        elif model.in_windows:
            yield from _judge_windows(ids, tokens, model)
        else:
            yield from judge_cuts(ids, tokens, model.max_tokens, view.most_tokens, windows=able)


def judge_texts(ids: Sequence[str], texts: Sequence[str]) -> Iterable[Finding]:
    """Judges texts by what can be read in them.

    Example:
        >>> [finding.message for finding in judge_texts(["a", "b"], ["<br/>", "It broke again."])]
        ['1 of 2 texts (50 %) holds nothing but markup or punctuation.']
    """
    lengths = np.array([len(text) for text in texts])
    # Only a text that is short, or holds markup, can hold little.
    suspect = [place for place, text in enumerate(texts) if len(text) < 40 or "<" in text or "&" in text]
    readable = {place: sum(map(str.isalnum, without_markup(texts[place]))) for place in suspect}
    empty = [place for place in suspect if readable[place] == 0]
    short = [place for place in suspect if 0 < readable[place] < FEWEST_CHARACTERS]
    limit = max(MANY_CHARACTERS, MANY_TIMES * float(np.median(lengths)))
    long = np.flatnonzero(lengths > limit)
    long = long[np.argsort(-lengths[long], kind="stable")].tolist()
    n = len(texts)
    kinds = (
        ("empty", empty, "hold nothing but markup or punctuation", "Take them out, or look at how they were exported."),
        (
            "short",
            short,
            f"have fewer than {FEWEST_CHARACTERS} letters or digits",
            "Check whether they can be labelled.",
        ),
        ("long", long, f"are longer than {limit:,.0f} characters, unlike the rest", "Split them, or take them out."),
    )
    for kind, places, what, advice in kinds:
        if places:
            share = len(places) / n
            yield Finding(
                "lengths",
                "warning" if kind == "empty" and share >= 0.01 else "note",
                counted(len(places), n, "texts", f"{what}."),
                advice,
                share,
                tuple(ids[place] for place in places),
                {"kind": kind, "characters": [int(lengths[place]) for place in places]},
            )


def judge_cuts(
    ids: Sequence[str], tokens: np.ndarray, max_tokens: int, most: int = 0, *, windows: bool = False
) -> Iterable[Finding]:
    """Judges what is lost where long texts are cut.

    Args:
        ids: Of the examples.
        tokens: ``int64[n]`` of each text before it is cut.
        max_tokens: What the recipe reads.
        most: What the backbone takes; 0 where that is not known.
        windows: Whether the task can read texts in windows.

    Example:
        >>> [finding] = judge_cuts(["a", "b"], np.array([100, 300]), 128)
        >>> finding.severity, finding.details["share_of_text_lost"]
        ('warning', 0.43)
    """
    lost = np.maximum(tokens - max_tokens, 0)
    cut = np.flatnonzero(lost)
    share, text_lost = len(cut) / max(len(tokens), 1), float(lost.sum() / max(tokens.sum(), 1))
    if share < CUT_NOTED:
        return
    wanted = float(np.quantile(tokens, 0.99))
    enough = min(next((size for size in SIZES if size >= wanted), SIZES[-1]), most or SIZES[-1])
    order = cut[np.argsort(-lost[cut], kind="stable")].tolist()
    yield Finding(
        "lengths",
        "warning" if share >= CUT_WARNED or text_lost >= LOST_WARNED else "note",
        counted(len(cut), len(tokens), "texts", f"are cut at {max_tokens} tokens; {percent(text_lost)} of all text is ")
        + "never read.",
        _advice(tokens, max_tokens, enough, most, windows),
        share,
        tuple(ids[place] for place in order),
        {
            "kind": "cut",
            "tokens": [int(tokens[place]) for place in order],
            "share_of_text_lost": round(text_lost, 4),
            "max_tokens": max_tokens,
            "suggested_max_tokens": enough,
        },
    )


def judge_written(ids: Sequence[str], tokens: np.ndarray, lost: np.ndarray, model: ModelSpec) -> Iterable[Finding]:
    """Judges what is lost of prompts and of responses, each of which has room of its own.

    Args:
        ids: Of the examples.
        tokens: ``int64[n]`` of both before the cut.
        lost: ``int64[n, 2]``: of the prompt, and of the response.
        model: Says how much room each has.

    Example:
        >>> tokens, lost = np.array([40, 90]), np.array([[0, 8], [0, 0]])
        >>> [finding] = judge_written(["a", "b"], tokens, lost, ModelSpec(max_tokens=96, response_tokens=32))
        >>> finding.details["side"], finding.message.split(";")[0]
        ('response', '1 of 2 responses (50 %) is cut at 32 tokens')
    """
    rooms = {"prompt": model.max_tokens - model.room, "response": model.room}
    costs = {"prompt": "their ends are never read", "response": "the model does not learn how they end"}
    for side, (what, room) in enumerate(rooms.items()):
        cut = np.flatnonzero(lost[:, side])
        share = len(cut) / max(len(lost), 1)
        text_lost = float(lost[:, side].sum() / max(tokens.sum(), 1))
        if share < CUT_NOTED:
            continue
        order = cut[np.argsort(-lost[cut, side], kind="stable")].tolist()
        wanted = room + int(lost[:, side].max())
        key = "response_tokens" if what == "response" else "max_tokens"
        enough = wanted if what == "response" else wanted + model.room
        # More for the response is less for the prompt, unless the whole grows as well.
        more = f" --set model.max_tokens={model.max_tokens + wanted - room}" if what == "response" else ""
        keep = f" --set model.response_tokens={model.room}" if what == "prompt" else ""
        yield Finding(
            "lengths",
            "warning" if share >= CUT_WARNED or text_lost >= LOST_WARNED else "note",
            counted(len(cut), len(lost), f"{what}s", f"are cut at {room} tokens; {costs[what]}."),
            f"--set model.{key}={enough}{more}{keep} keeps all of them, or leave long rows out.",
            share,
            tuple(ids[place] for place in order),
            {"kind": "cut", "side": what, "tokens_lost": [int(lost[place, side]) for place in order], "room": room},
        )


def _judge_windows(ids: Sequence[str], tokens: np.ndarray, model: ModelSpec) -> Iterable[Finding]:
    """Judges what lies behind the last window of long texts."""
    special = 2  # as most tokenizers have it: a token more or less in thousands
    reach = model.max_tokens + (model.windows.most - 1) * (model.max_tokens - special - model.overlap)
    lost = np.maximum(tokens - reach, 0)
    beyond = np.flatnonzero(lost)
    share, text_lost = len(beyond) / max(len(tokens), 1), float(lost.sum() / max(tokens.sum(), 1))
    if share < CUT_NOTED:
        return
    step = max(model.max_tokens - special - model.overlap, 1)
    enough = min(int(-(-max(float(np.quantile(tokens, 0.99)) - model.max_tokens, 0) // step)) + 1, MOST_WINDOWS)
    order = beyond[np.argsort(-lost[beyond], kind="stable")].tolist()
    said = f"have more than {model.windows.most} windows; {percent(text_lost)} of all text is never read."
    yield Finding(
        "lengths",
        "warning" if share >= CUT_WARNED or text_lost >= LOST_WARNED else "note",
        counted(len(beyond), len(tokens), "texts", said),
        f"--set model.windows.most={enough} reads 99 % of the texts whole.",
        share,
        tuple(ids[place] for place in order),
        {"kind": "cut", "share_of_text_lost": round(text_lost, 4), "suggested_windows": enough},
    )


def _advice(tokens: np.ndarray, max_tokens: int, enough: int, most: int, windows: bool) -> str:
    """What reads more of the texts; the backbone's limit is never exceeded."""
    whole = float((tokens <= enough).mean())
    if windows and whole < WHOLE:
        return (
            "--set model.long_text=windows reads all of a text, in windows that overlap; head-and-tail reads its end "
            f"as well as its beginning, at no cost. {enough} tokens would hold {percent(whole, 0)} of the texts."
        )
    if max_tokens >= enough:
        return (
            f"{most or SIZES[-1]:,} tokens are the most that the backbone takes. Split long texts into rows of one "
            "data.group, keep what tells their classes, or choose a backbone that takes more: kft models."
        )
    known = "" if most else ", if the backbone takes as many"
    return f"--set model.max_tokens={enough} reads {percent((tokens <= enough).mean(), 0)} of the texts whole{known}."


CHECK = Check("lengths", "empty, very short, very long and cut texts", check_lengths, medium="text", rank=90)
