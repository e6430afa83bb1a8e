"""Pictures of results. Takes plain numbers and writes PNG; knows neither models nor evaluations."""

from seqdiff.report.figures import calibration_figure, draw, likelihood_figure, recovery_figure, training_figure
from seqdiff.report.infill import infill_figure, longest_gap

__all__ = [
    "calibration_figure",
    "draw",
    "infill_figure",
    "likelihood_figure",
    "longest_gap",
    "recovery_figure",
    "training_figure",
]
