"""What /metrics says, for Prometheus: names begin with kft_, units are seconds and bytes, labels are few and known."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    Summary,
    generate_latest,
)

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
INPUTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class ShadowMeasures:
    """What challengers do that answer beside a model; ``model`` is the name of the one that answers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, about: str) -> Counter:
            return Counter(f"kft_shadow_{name}", about, ["model"], registry=registry)

        self._answers = counter("answers", "Inputs that the challenger answered.")
        self._disagreements = counter("disagreements", "Of these, those with another label, or withheld by one alone.")
        self._errors = counter("errors", "Inputs that the challenger failed to answer.")
        self._dropped = counter("dropped", "Inputs that it was not asked, for it was behind.")
        self._difference = Summary(
            "kft_shadow_difference",
            "Between the numbers of both, where answers are numbers; always positive.",
            ["model"],
            registry=registry,
        )
        self._reloads = Counter(
            "kft_shadow_reloads",
            "Aliases of challengers that moved, by what came of it.",
            ["model", "result"],
            registry=registry,
        )
        self._version = Gauge(
            "kft_shadow_version_info", "The version that answers beside.", ["model", "version"], registry=registry
        )
        self._versions: dict[str, str] = {}

    def answered(self, model: str, answers: int, disagreements: int) -> None:
        """Counts inputs that were answered."""
        self._answers.labels(model).inc(answers)
        self._disagreements.labels(model).inc(disagreements)

    def differed(self, model: str, difference: float) -> None:
        """Counts how far two numbers are apart."""
        self._difference.labels(model).observe(difference)

    def failed(self, model: str, inputs: int) -> None:
        """Counts inputs that could not be answered."""
        self._errors.labels(model).inc(inputs)

    def dropped(self, model: str, inputs: int) -> None:
        """Counts inputs that were not asked."""
        self._dropped.labels(model).inc(inputs)

    def reload(self, model: str, result: str) -> None:
        """Counts an alias that moved."""
        self._reloads.labels(model, result).inc()

    def loaded(self, model: str, version: str) -> None:
        """Says which version answers beside; the one before is gone from the metrics."""
        if model in self._versions:
            self._version.remove(model, self._versions[model])
        self._versions[model] = version
        self._version.labels(model, version).set(1)
        for count in (self._answers, self._disagreements, self._errors, self._dropped):
            count.labels(model)  # seen from the beginning, at 0


class Measures:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(namespace="kft", registry=self.registry)
        registry = self.registry
        self._requests = Counter(
            "kft_requests", "Requests answered or refused.", ["endpoint", "code"], registry=registry
        )
        self._seconds = Histogram(
            "kft_request_seconds", "From a request to its answer.", ["endpoint"], buckets=SECONDS, registry=registry
        )
        self._refused = Counter("kft_refused", "Requests refused, by why.", ["why"], registry=registry)
        self._in_flight = Gauge("kft_requests_in_flight", "Requests that are read or answered now.", registry=registry)
        self._held = Gauge("kft_held_bytes", "Bodies of requests that are held now.", registry=registry)
        self._answers = Counter("kft_answers", "Inputs answered.", ["model", "abstained"], registry=registry)
        self._cut = Counter(
            "kft_cut_texts", "Texts longer than what the model reads of them.", ["model"], registry=registry
        )
        self._batch_inputs = Histogram(
            "kft_batch_inputs", "Inputs of a batch.", ["model"], buckets=INPUTS, registry=registry
        )
        self._batch_seconds = Histogram(
            "kft_batch_seconds", "Computing a batch.", ["model"], buckets=SECONDS, registry=registry
        )
        self._queued = Gauge("kft_queued_inputs", "Inputs that wait.", ["model"], registry=registry)
        self._version = Gauge(
            "kft_model_version_info", "The version that answers.", ["model", "version"], registry=registry
        )
        self._since = Gauge(
            "kft_model_loaded_timestamp_seconds",
            "When the version that answers took over.",
            ["model"],
            registry=registry,
        )
        self._reloads = Counter(
            "kft_model_reloads", "Aliases that moved, by what came of it.", ["model", "result"], registry=registry
        )
        self._prompt_tokens = Counter("kft_prompt_tokens", "Tokens of prompts read.", ["model"], registry=registry)
        self._written_tokens = Counter("kft_written_tokens", "Tokens of answers.", ["model"], registry=registry)
        self._written = Counter(
            "kft_written", "Answers written, by why they ended.", ["model", "why"], registry=registry
        )
        self._first_seconds = Histogram(
            "kft_first_token_seconds",
            "From a request for a text to its first token.",
            ["model"],
            buckets=SECONDS,
            registry=registry,
        )
        self._text_seconds = Histogram(
            "kft_text_seconds", "From a request for a text to its end.", ["model"], buckets=SECONDS, registry=registry
        )
        self.shadows = ShadowMeasures(registry)
        self._versions: dict[str, str] = {}

    def request(self, endpoint: str, code: int, seconds: float) -> None:
        """Counts a request that is over."""
        self._requests.labels(endpoint, str(code)).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def refused(self, why: str) -> None:
        """Counts a refusal; ``why`` is the kind of a ``Refused``."""
        self._refused.labels(why).inc()

    def follow_load(self, requests: Callable[[], float], held: Callable[[], float]) -> None:
        """Takes the numbers of requests and bytes whenever somebody looks."""
        self._in_flight.set_function(requests)
        self._held.set_function(held)

    def follow_queue(self, model: str, queued: Callable[[], float]) -> None:
        """Takes the length of a model's queue whenever somebody looks."""
        self._queued.labels(model).set_function(queued)

    def answered(self, model: str, abstained: int, given: int) -> None:
        """Counts inputs that were answered."""
        self._answers.labels(model, "true").inc(abstained)
        self._answers.labels(model, "false").inc(given)

    def cut(self, model: str, texts: int) -> None:
        """Counts texts of which a part was not read."""
        self._cut.labels(model).inc(texts)

    def follow_recorder(self, works: Callable[[], bool]) -> None:
        """Takes whether a sample is still kept whenever somebody looks; without a recorder there is no such figure."""
        about = "1 while --record keeps a sample, 0 once it failed."
        Gauge("kft_recording", about, registry=self.registry).set_function(works)

    def began(self, model: str, seconds: float) -> None:
        """Counts the first token of a text."""
        self._first_seconds.labels(model).observe(seconds)

    def wrote(self, model: str, read: int, written: int, why: str, seconds: float) -> None:
        """Counts a text that is whole."""
        self._prompt_tokens.labels(model).inc(read)
        self._written_tokens.labels(model).inc(written)
        self._written.labels(model, why).inc()
        self._text_seconds.labels(model).observe(seconds)

    def batch(self, model: str, inputs: int, seconds: float) -> None:
        """Counts a batch."""
        self._batch_inputs.labels(model).observe(inputs)
        self._batch_seconds.labels(model).observe(seconds)

    def loaded(self, model: str, version: str) -> None:
        """Says which version answers; the one before is gone from the metrics."""
        if model in self._versions:
            self._version.remove(model, self._versions[model])
        self._versions[model] = version
        self._version.labels(model, version).set(1)
        self._since.labels(model).set_to_current_time()

    def reload(self, model: str, result: str) -> None:
        """Counts an alias that moved."""
        self._reloads.labels(model, result).inc()

    def text(self) -> bytes:
        """Returns the page, in Prometheus's text format."""
        return generate_latest(self.registry)
