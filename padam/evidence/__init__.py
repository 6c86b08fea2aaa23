"""What records say: every source's runs in one form, the paper's sentences judged by them, tables and the results page.

`collect` gathers the runs; `claims` has the sentences, `metrics` what is read from a run, `verdicts` the judging,
`tables` and `results` what is shown. Nothing here trains or writes a record.
"""

from padam.evidence.runs import MINIATURES, SOURCES, Run, at_chosen_rates, by_network, collect, curve

__all__ = ["MINIATURES", "SOURCES", "Run", "at_chosen_rates", "by_network", "collect", "curve"]
