"""Lists of labels in cells: as lists, or as Python, pandas, NumPy and JSON print them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from kft.tasks.cells import as_text, kind_problem
from kft.tasks.marks import read_mark

_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_STRING = re.compile(_QUOTED, re.DOTALL)
_WRAPPER = (
    r"(?:(?:np|numpy|pd|pandas|collections|builtins)\.)?"
    r"(?:array|ndarray|frozenset|set|list|tuple|Index|Series|deque|dict)\(\s*"
)
_WRAPPED = re.compile(
    rf"{_WRAPPER}(?P<inside>.*?)\s*(?:,\s*(?:dtype|name|index|length)\s*=.*)?\)",
    re.DOTALL,
)
_ARRAY = re.compile(rf"\[\s*{_QUOTED}(?:\s+{_QUOTED})+\s*\]", re.DOTALL)
_NUMBER = r"(?:[-+]?\d+\.?\d*(?:e[-+]?\d+)?|True|False)"
_NUMBERS = re.compile(rf"\[\s*{_NUMBER}(?:\s+{_NUMBER})*\s*\]")
_SCALAR = re.compile(rf"\b(?:np|numpy)\.(?:str_|object_|u?int\d*|float\d*|bool_?)\(\s*({_QUOTED}|{_NUMBER})\s*\)")
_TRUTH = re.compile(r"\b(?:np|numpy)\.(True_|False_)")
_PRINTED = re.compile(rf"[\[({{]\s*(?:np\.\w+\()?['\"]|{_WRAPPER}[\[({{]")
_BARE = re.compile(r"\s*(?:\[[^\[\]]*[,;|][^\[\]]*\]|\([^()]*[,;|][^()]*\)|\{[^{}]*[,;|][^{}]*\})\s*")
CLOSED = {"[": "]", "(": ")", "{": "}"}


def list_in(cell: Any) -> list[Any] | None:
    """Returns the labels of a cell that holds a list of them, or a printed one; None where it holds no list.

    Nothing is run. An object of names and yes or no holds the names with yes.

    Raises:
        ValueError: It looks like a list and cannot be read; says why.

    Example:
        >>> list_in(["a"]), list_in("['a', 'b']"), list_in("['a' 'b']"), list_in("array(['a'], dtype=object)")
        (['a'], ['a', 'b'], ['a', 'b'], ['a'])
        >>> list_in("{'b', 'a'}"), list_in("()"), list_in('{"a": 1, "b": 0}'), list_in("[urgent] billing")
        (['a', 'b'], [], ['a'], None)
    """
    if not isinstance(cell, str):
        return _held(cell)
    text = cell.strip()
    if not text or not (text[0] in CLOSED or "(" in text):
        return None
    inside = _unwrapped(text)
    try:
        return _held(_evaluated(inside))
    except SyntaxError:
        pass
    if inside != text or _PRINTED.match(text) or _BARE.fullmatch(text):
        raise ValueError(f"label looks like a list and cannot be read as one: {text[:40]!r}")
    return None


def _held(found: Any) -> list[Any] | None:
    """The members of a list, set, array or object of yes and no; None where it is none of them."""
    if isinstance(found, (set, frozenset)):
        return sorted(found, key=str)
    if isinstance(found, Mapping):
        return _marked(found)
    if isinstance(found, (np.ndarray, pd.Series)) and found.ndim:
        found = found.tolist()
    return list(found) if isinstance(found, (list, tuple)) else None


def _marked(found: Mapping[Any, Any]) -> list[Any]:
    try:
        return [name for name, value in found.items() if read_mark(value)]
    except ValueError:
        raise ValueError(f"label is an object: {json.dumps(found, default=str, ensure_ascii=False)[:40]}") from None


def _unwrapped(text: str) -> str:
    """What stands inside ``array(...)``, ``frozenset({...})`` and the like."""
    for _ in range(3):
        found = _WRAPPED.fullmatch(text)
        if found is None:
            break
        text = found["inside"] or "[]"
    return text


def _evaluated(text: str) -> Any:
    """Reads a list as JSON, Python or NumPy write it.

    Raises:
        SyntaxError: It is none of them.
    """
    try:
        return json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        pass
    text = _TRUTH.sub(lambda found: found[1][:-1], _SCALAR.sub(r"\1", text))
    if _ARRAY.fullmatch(text):
        return [ast.literal_eval(each) for each in _STRING.findall(text)]
    if _NUMBERS.fullmatch(text):
        return text[1:-1].split()
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        raise SyntaxError("no list") from None
    members = list(found) if isinstance(found, (list, tuple)) else []
    # Python joins strings that stand side by side: two names of an array would be one.
    if all(isinstance(each, str) for each in members) and len(_STRING.findall(text)) > len(members) > 0:
        raise SyntaxError("strings without commas")
    return found


def names_in(cell: Any, separator: str) -> list[Any]:
    """Returns the labels of a cell for several: a list, a printed one, or names between separators.

    Raises:
        ValueError: It cannot be read; says why.

    Example:
        >>> names_in("billing; refund", ";"), names_in('["a; b"]', ";"), names_in("'a', 'b'", ","), names_in("", ";")
        (['billing', ' refund'], ['a; b'], ['a', 'b'], [])
    """
    found = list_in(cell)
    if found is not None:
        printed = [each for each in found if isinstance(each, str) and _PRINTED.match(each.strip())]
        if printed:
            raise ValueError(f"label is a list that holds a printed one: {printed[0][:40]!r}")
        return found
    problem = kind_problem(cell, "label")
    if problem:
        raise ValueError(problem)
    text = as_text(cell).strip()
    if text[:1] == "[" and text[-1:] == "]":
        raise ValueError(f"label looks like a list and cannot be read as one: {text[:40]!r}")
    return [_unquoted(name) for name in text.split(separator)] if text else []


def _unquoted(name: str) -> str:
    bare = name.strip()
    return bare[1:-1] if len(bare) > 2 and bare[0] == bare[-1] and bare[0] in "'\"" else name
