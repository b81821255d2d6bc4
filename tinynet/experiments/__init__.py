"""The machinery of a study: a training loop, measurements, claims, and files and figures that come out of it.

`train` runs a network for a number of steps and calls back where something is to be measured, `Trainer` for a
number of epochs with a checkpoint after each; `Runs` keeps finished runs, so that none is made twice;
`evaluate`, `scores`, `confusion_matrix` and `confident_mistakes` look at a classifier; `Claim` puts what was
said beforehand next to what came out; `write_json`, `write_csv` and `figure_png` make the files.  (What is
measured inside a network is in `tinynet.bn`.)  The scripts in ``examples/`` are made of these.
"""

from __future__ import annotations

from tinynet.experiments.claims import Claim, claims_table, table
from tinynet.experiments.classification import (
    confident_mistakes,
    confusion_matrix,
    ensemble_errors,
    scores,
    smoothed,
)
from tinynet.experiments.extras import require
from tinynet.experiments.figures import figure_png
from tinynet.experiments.measure import evaluate, steps_to_accuracy
from tinynet.experiments.results import write_csv, write_json
from tinynet.experiments.runs import Runs
from tinynet.experiments.trainer import Epoch, Trainer
from tinynet.experiments.training import train

__all__ = [
    "Claim",
    "Epoch",
    "Runs",
    "Trainer",
    "claims_table",
    "confident_mistakes",
    "confusion_matrix",
    "ensemble_errors",
    "evaluate",
    "figure_png",
    "require",
    "scores",
    "smoothed",
    "steps_to_accuracy",
    "table",
    "train",
    "write_csv",
    "write_json",
]
