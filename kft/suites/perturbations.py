"""Every change that a suite can name, registered by being imported: one line here for each file."""

from __future__ import annotations

from kft.suites import perturb_image, perturb_passages, perturb_text  # noqa: F401
from kft.suites.perturbation import PERTURBATIONS as PERTURBATIONS
