"""One function per command: what the command line, a notebook and a cloud job all call."""

from kft.api.answering import PredictFileResult, Predictor, load, predict, predict_file
from kft.api.answers_file import write_answers
from kft.api.checking import CheckResult, check
from kft.api.comparing import CompareResult, compare
from kft.api.correcting import apply_corrections
from kft.api.evaluating import evaluate
from kft.api.launching import LaunchResult, launch
from kft.api.preparing import BuildResult, build_data
from kft.api.reporting import ReportResult, report
from kft.api.suites import draft_suite, evaluate_suite
from kft.api.training import PlanResult, TrainResult, check_tpu, plan, train

__all__ = [
    "BuildResult",
    "CheckResult",
    "CompareResult",
    "LaunchResult",
    "PlanResult",
    "PredictFileResult",
    "Predictor",
    "ReportResult",
    "TrainResult",
    "apply_corrections",
    "build_data",
    "check",
    "check_tpu",
    "compare",
    "draft_suite",
    "evaluate",
    "evaluate_suite",
    "launch",
    "load",
    "plan",
    "predict",
    "predict_file",
    "report",
    "train",
    "write_answers",
]
