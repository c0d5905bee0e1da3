"""Starting TensorFlow quietly, seeds, versions. Nothing here is imported before it is needed.

``load_tensorflow()`` comes before the first import of TensorFlow or Keras in every entry point: it sets what must be
set before the runtime loads, and keeps TensorFlow's start-up chatter off the terminal.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from kft.errors import UsageError

_loaded = False
_importing = threading.RLock()
_own_process = False

UNUSED = ("sklearn", "matplotlib", "scipy", "pandas", "tensorflow_text")
"""What TensorFlow, Keras and keras-hub import where it is installed, for what no command uses: galleries, wrappers,
tables for ``fit``, tokenizers of their own. A quarter of the start."""
LATER = ("pandas",)
"""What kft's own modules import at their beginning, and a command may never come to use."""


def own_this_process() -> None:
    """Says that nobody but kft uses Keras in this process: a command, not a person's own program."""
    global _own_process
    _own_process = True
    for name in LATER:
        spec = None if name in sys.modules else importlib.util.find_spec(name)
        if spec is not None:
            sys.modules[name] = _Later(name)
            sys.modules[name].__spec__ = spec


class _Later(ModuleType):
    """Stands for a package that is imported once something of it is asked for, by whichever thread."""

    def __getattr__(self, name: str) -> Any:
        package = self.__name__
        with _importing:
            if sys.modules.get(package) is self:
                del sys.modules[package]
            real = importlib.import_module(package)
        vars(self).update(vars(real))
        return getattr(real, name)


@contextlib.contextmanager
def without_collecting() -> Iterator[None]:
    """Leaves out looking for unreachable objects while the body makes many that stay: a sixth of an import.

    In a process of kft's own, what there is by then is never looked through again.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if _own_process:
            gc.freeze()
        if collecting:
            gc.enable()


@contextlib.contextmanager
def as_if_absent(packages: Iterable[str]) -> Iterator[None]:
    """Has imports of packages that are not loaded yet fail while the body runs."""
    before = {name: sys.modules.get(name) for name in packages}
    absent = [name for name, module in before.items() if module is None or isinstance(module, _Later)]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None is how Python marks it
    try:
        yield
    finally:
        for name in absent:
            module = before[name]
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


def load_openvino() -> Any:
    """Imports OpenVINO without its reports to the vendor: kft sends nothing anywhere.

    Raises:
        ImportError: It is not installed.
    """
    with as_if_absent(["openvino_telemetry"]):
        return importlib.import_module("openvino")


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Holds back what C++ code writes to file descriptor 2, and replays it when the body fails.

    TF_CPP_MIN_LOG_LEVEL does not silence TensorFlow 2.21's start, and sys.stderr never sees its lines.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no standard error at all: nothing to hold back
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def load_tensorflow() -> None:
    """Imports TensorFlow and Keras once, quietly; devices are not initialised yet, so a strategy can still shape them.

    Raises:
        UsageError: Keras is set to another backend than TensorFlow.
    """
    global _loaded
    if _loaded:
        return
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise UsageError(
            "kft trains with Keras on TensorFlow",
            where="environment variable KERAS_BACKEND",
            received=backend,
            expected="tensorflow",
            next_step="unset KERAS_BACKEND",
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Idle threads that spin burn up to three times the CPU seconds; must be set before OpenMP loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # What tqdm says on import in a notebook without ipywidgets; keras-hub brings it, and kft draws no bar with it.
    warnings.filterwarnings("ignore", message="IProgress not found")
    with quiet_stderr(), without_collecting(), as_if_absent(UNUSED if _own_process else ()):
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        for gpu in tf.config.list_physical_devices("GPU"):
            with contextlib.suppress(RuntimeError):  # devices already initialised by the caller's own code
                tf.config.experimental.set_memory_growth(gpu, True)
        import keras

        if keras.config.backend() != "tensorflow":
            raise UsageError(
                "kft trains with Keras on TensorFlow",
                where="the Keras configuration file keras.json",
                received=keras.config.backend(),
                expected="tensorflow",
                next_step="KERAS_BACKEND=tensorflow kft ...",
            )
    _loaded = True


def load_keras_hub() -> Any:
    """Imports keras-hub, and returns it; TensorFlow comes first.

    Raises:
        UsageError: Keras is set to another backend than TensorFlow.
    """
    start()
    with quiet_stderr(), without_collecting(), as_if_absent(UNUSED if _own_process else ()):
        import keras_hub
    return keras_hub


def one_blas_thread() -> contextlib.AbstractContextManager[Any]:
    """Has NumPy's and SciPy's products run on one thread within the body.

    Of small products in a row: threads that wait for the next one burn more than they save.
    """
    import scipy.linalg  # noqa: F401  # brings a BLAS of its own, which a limit that is set before would not reach
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")


def start() -> None:
    """Loads TensorFlow and initialises its devices, once; ``kft.strategy.start`` comes first where one is chosen.

    Raises:
        UsageError: Keras is set to another backend than TensorFlow.

    Example:
        >>> from kft import runtime
        >>> runtime.start()  # doctest: +SKIP
    """
    load_tensorflow()
    import tensorflow as tf

    with quiet_stderr():
        tf.config.list_logical_devices()


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy and Keras, and asks TensorFlow for deterministic kernels."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def describe_devices() -> tuple[str, ...]:
    """Returns the devices TensorFlow sees, such as ``("CPU:0",)``."""
    start()
    import tensorflow as tf

    return tuple(device.name.removeprefix("/device:") for device in tf.config.list_logical_devices())


def versions() -> dict[str, str]:
    """Returns the versions that decide a result, without importing the packages."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from kft import __version__

    found = {"python": platform.python_version(), "kft": __version__}
    for package in ("tensorflow", "keras", "keras-hub", "keras-nlp", "tokenizers", "numpy"):
        found[package] = "not installed"
        # tensorflow-tpu fills the same folder, and takes the other's place on a TPU.
        for distribution in (package, "tensorflow-tpu") if package == "tensorflow" else (package,):
            with contextlib.suppress(PackageNotFoundError):
                found[package] = version(distribution)
                break
    with contextlib.suppress(PackageNotFoundError):  # it computes frozen blocks in int8, where it is asked to
        found["openvino"] = version("openvino")
    return found
