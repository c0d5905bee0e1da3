"""All tasks: one line each."""

from kft.recipe.values import LOWER_IS_BETTER, TASK_METRICS
from kft.registry import Registry
from kft.tasks.classes import CLASSES
from kft.tasks.labels import LABELS
from kft.tasks.numbers import NUMBERS
from kft.tasks.spans import SPANS
from kft.tasks.task import Task

TASKS: Registry[Task] = Registry("task", next_step="kft recipe schema")


def register_task(task: Task) -> Task:
    """Adds a task: recipes may name it, and its metrics, from now on; docs/extending.md has an example.

    Raises:
        ValueError: The name is taken.
    """
    TASKS.register(task.name, task)
    metrics = task.kind.metrics.values()
    TASK_METRICS[task.name] = tuple(metric.name for metric in metrics)
    LOWER_IS_BETTER.update(f"valid_{metric.name}" for metric in metrics if not metric.higher_is_better)
    return task


for _task in (
    Task("text-classification", "text", CLASSES, "one class out of many for a text"),
    Task("text-multi-label", "text", LABELS, "any number of labels for a text"),
    Task("text-pairs", "text-pair", CLASSES, "one class for two texts, such as: same question or not"),
    Task("text-regression", "text", NUMBERS, "a number for a text, such as a rating"),
    Task("token-tagging", "text", SPANS, "labelled spans within a text, such as names"),
    Task("image-classification", "image", CLASSES, "one class out of many for an image"),
    Task("image-multi-label", "image", LABELS, "any number of labels for an image"),
):
    register_task(_task)
