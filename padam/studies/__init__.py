"""Measurements that are no training record: many short runs, or a look inside a long one, kept as one JSON file each.

A study is a list of settings and a function that measures one of them. `fill` measures what is missing, two or more at
a time if asked, each into a file of its own, and gathers them in records/studies/<name>.json when all is there.
"""

from padam.studies.decay_factor import DECAY_FACTOR
from padam.studies.dial import DIAL, DIAL_EPS, DIAL_VGG16
from padam.studies.measuring import command, fill, measure
from padam.studies.miniature import MINIATURE
from padam.studies.moments import MOMENTS
from padam.studies.rates import RATES
from padam.studies.store import path, progress, read
from padam.studies.study import Run, Study
from padam.studies.text_decay import TEXT_DECAY
from padam.studies.text_dial import TEXT_DIAL
from padam.studies.text_rates import TEXT_RATES
from padam.studies.tolerance import TOLERANCE
from padam.studies.treebank import TREEBANK

STUDIES = {
    study.name: study
    for study in (
        TOLERANCE,
        RATES,
        MOMENTS,
        MINIATURE,
        TREEBANK,
        TEXT_RATES,
        TEXT_DIAL,
        TEXT_DECAY,
        DIAL,
        DIAL_VGG16,
        DIAL_EPS,
        DECAY_FACTOR,
    )
}

__all__ = ["STUDIES", "Run", "Study", "command", "fill", "measure", "path", "progress", "read"]
