"""All tasks: one line each; kft/tasks/names.py has what each is about."""

from kft.registry import Registry
from kft.tasks.classes import CLASSES
from kft.tasks.inputs import APART, IMAGE, PAIR, PLAIN, PROMPT, QUERY, TEXT
from kft.tasks.labels import LABELS
from kft.tasks.masked import MASKED
from kft.tasks.names import ABOUT
from kft.tasks.numbers import NUMBERS
from kft.tasks.responses import RESPONSES
from kft.tasks.similarity import SIMILARITY
from kft.tasks.spans import SPANS
from kft.tasks.task import Task
from kft.tasks.vectors import VECTORS

TASKS: Registry[Task] = Registry("task", next_step="kft recipe schema")


def register_task(task: Task) -> Task:
    """Adds a task: recipes may name it, and its metrics, from now on; docs/extending.md has an example.

    Raises:
        ValueError: The name is taken.
    """
    return TASKS.register(task.name, task)


def first_task(*, files: bool) -> Task:
    """Returns the plainest task on files, or on texts: what data are taken for, unless somebody says otherwise.

    Example:
        >>> first_task(files=True).name
        'image-classification'
    """
    return next(task for task in TASKS if task.reads.files == files and not task.reads.pairs)


def tasks_with_suites() -> str:
    """Returns the names of the tasks whose edge cases can be judged, for messages.

    Example:
        >>> tasks_with_suites().startswith("text-classification, text-multi-label, text-pairs, text-regression")
        True
    """
    *most, last = (task.name for task in TASKS if task.kind.judging.as_label is not None)
    return f"{', '.join(most)} or {last}"


def one_class_tasks() -> str:
    """Returns the names of the tasks with one class of many, for messages.

    Example:
        >>> one_class_tasks()
        'text-classification, text-pairs or image-classification'
    """
    *most, last = (task.name for task in TASKS if task.kind.one_class)
    return f"{', '.join(most)} or {last}"


def sibling(task: Task, form: str) -> Task | None:
    """Returns the first task on the same kind of single inputs with another form of label; None where there is none.

    Example:
        >>> sibling(TASKS.get("text-pairs"), "set").name
        'text-multi-label'
    """
    same = (other for other in TASKS if other.reads.medium == task.reads.medium and not other.reads.pairs)
    return next((other for other in same if other.kind.labels.form == form), None)


for _name, _reads, _kind in (
    ("text-classification", TEXT, CLASSES),
    ("text-multi-label", TEXT, LABELS),
    ("text-pairs", PAIR, CLASSES),
    ("text-regression", TEXT, NUMBERS),
    ("text-embedding", QUERY, VECTORS),
    ("text-similarity", APART, SIMILARITY),
    ("causal-lm", PROMPT, RESPONSES),
    ("masked-lm", PLAIN, MASKED),
    ("token-tagging", TEXT, SPANS),
    ("image-classification", IMAGE, CLASSES),
    ("image-multi-label", IMAGE, LABELS),
):
    register_task(Task(_name, _reads, _kind, ABOUT[_name]))
