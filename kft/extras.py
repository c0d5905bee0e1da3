"""Extras: packages beside those of a plain `pip install kft`, and the one message where they are missing."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from kft.errors import KftError, UsageError

EXTRAS: dict[str, tuple[str, ...]] = {
    "gcs": ("gcsfs",),
    "s3": ("s3fs",),
    "int8": ("openvino",),
    "documents": ("pypdf", "inscriptis", "openpyxl"),
    "language": ("rouge_score", "sacrebleu"),
    "search": ("bm25s", "usearch"),
    "onnx": ("tf2onnx", "onnx", "onnxruntime"),
    "openvino": ("openvino",),
    "nncf": ("nncf",),
    "litert": ("ai_edge_litert",),
    "saved-model": ("tensorflow_serving",),
    "sign": ("model_signing",),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
    "wandb": ("wandb",),
    "serve": ("fastapi", "uvicorn", "prometheus_client", "python_multipart"),
}
"""The modules that each extra of setup.cfg brings."""


def install(extra: str) -> str:
    """Returns the command that brings an extra.

    Example:
        >>> install("serve")
        "pip install 'kft[serve]'"
    """
    return f"pip install 'kft[{extra}]'"


def missing(modules: Iterable[str]) -> list[str]:
    """Returns which modules are not installed.

    Example:
        >>> missing(["json", "no_such_module"])
        ['no_such_module']
    """
    return [name for name in modules if find_spec(name) is None]


def lacking(
    extra: str, problem: str, received: str, *, where: str | None = None, error: type[KftError] = UsageError
) -> KftError:
    """Returns the error that names an extra and how to install it.

    Example:
        >>> print(lacking("sign", "what signs artifacts is not installed", "no model_signing"))
        what signs artifacts is not installed
          received: no model_signing
          expected: the extra sign
          next:     pip install 'kft[sign]'
    """
    return error(problem, where=where, received=received, expected=f"the extra {extra}", next_step=install(extra))


def require(extra: str, modules: Iterable[str], problem: str, *, where: str | None = None) -> None:
    """Refuses to go on without modules of an extra.

    Raises:
        UsageError: One is not installed; names all of them, the extra, and the command that brings it.
    """
    if absent := missing(modules):
        raise lacking(extra, problem, f"no {', no '.join(absent)}", where=where)
