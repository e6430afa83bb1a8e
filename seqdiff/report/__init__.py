"""Pictures of results. Takes plain numbers and writes PNG; knows neither models nor evaluations."""

from seqdiff.report.figures import calibration_figure, draw, likelihood_figure, recovery_figure, training_figure
from seqdiff.report.heatmap import heatmap_figure
from seqdiff.report.infill import every_gap, longest_gap, that_fit
from seqdiff.report.logo import logo_figure

__all__ = [
    "calibration_figure",
    "draw",
    "every_gap",
    "heatmap_figure",
    "likelihood_figure",
    "logo_figure",
    "longest_gap",
    "recovery_figure",
    "that_fit",
    "training_figure",
]
