"""Tables of results, made from records alone: the paper's numbers, others', and ours, side by side.

Each function returns a header and rows, for `padam.show.rows`; `found` is always `padam.evidence.runs.collect()`.
Errors are in percent. An empty cell is a run that nobody made: a dash.
"""

from padam.evidence.tables.ablation import ablation, tuned, variants
from padam.evidence.tables.claim_tables import behind, compared, disagreements, in_words, on_the_way, verdicts
from padam.evidence.tables.entries import EMPTY, NAMES, P, cell
from padam.evidence.tables.experiments import (
    commands,
    elsewhere,
    figure1,
    provenance,
    settings,
    small,
    table1,
    table2,
    table3,
)

__all__ = [
    "EMPTY",
    "NAMES",
    "P",
    "ablation",
    "behind",
    "cell",
    "commands",
    "compared",
    "disagreements",
    "elsewhere",
    "figure1",
    "in_words",
    "on_the_way",
    "provenance",
    "settings",
    "small",
    "table1",
    "table2",
    "table3",
    "tuned",
    "variants",
    "verdicts",
]
