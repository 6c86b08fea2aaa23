"""Tables of results, made from records alone: the paper's numbers, others', and ours, side by side.

Each function returns a header and rows, for `padam.show.rows`; `found` is always `padam.records.evidence.collect()`.
Errors are in percent. An empty cell is a run that nobody made: a dash.
"""

from padam.tables.ablation import ablation, tuned, variants
from padam.tables.cells import EMPTY, NAMES, P, cell
from padam.tables.experiments import commands, elsewhere, figure1, provenance, settings, small, table1, table2, table3
from padam.tables.judged import behind, compared, disagreements, on_the_way, told, verdicts

__all__ = [
    "EMPTY", "NAMES", "P", "ablation", "behind", "cell", "commands", "compared", "disagreements", "elsewhere",
    "figure1", "on_the_way", "provenance", "settings", "small", "table1", "table2", "table3", "told", "tuned",
    "variants", "verdicts",
]  # fmt: skip
