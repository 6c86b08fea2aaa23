"""The results page of the book, from records alone: `python -m padam results` writes it."""

from pathlib import Path

from padam import tables
from padam.records import claims, evidence
from padam.show import rows

_PAGE = """\
# Results

Every table on this page is made from records, by `python -m padam results`. A test makes it again and compares.

- All numbers are test errors in percent, unless a table says otherwise: *last / best*, after the last epoch and at the
  best one. The best epoch is chosen on the test set, so it flatters; it is here because some sources state no other.
- ± is the standard deviation over runs, and how many these are stands in brackets. One run has no ±.
- **The paper** states the last epoch, and not how many runs that is. **Others** ran the same comparison at full scale:
  M, [Mittal, Pandey and Kant (2019)](https://arxiv.org/abs/1901.09517), one run each, with one decay more; X,
  [Xie et al. (2022)](https://arxiv.org/abs/2006.15815) and [(2021)](https://arxiv.org/abs/2103.17182), three runs, best
  epochs; [Luo et al. (2019)](https://arxiv.org/abs/1902.09843) and
  [Zhuang et al. (2020)](https://arxiv.org/abs/2010.07468), one run each on other networks, with one decay, and without
  Padam. What else differs stands with their data in the package.
- **Ours, full** are the paper's runs, **ours, small** a miniature of them for two cores: narrower networks, a fifth of
  the pictures, 60 epochs, the paper's rates. A miniature's numbers do not carry over to full scale; they show whether
  the same things happen in small.
- A dash is a run that nobody made.

{{doc}}`The chapter on CIFAR <../chapters/13-cifar>` reads the tables, and says what they cannot show.

## Table 1: CIFAR-10

{tables}

{missing}

## Other networks and CIFAR-100, by others

### CIFAR-10

{elsewhere10}

### CIFAR-100

{elsewhere100}

## Figure 1: the exponent

The paper shows Figure 1 as curves, without numbers.

### CIFAR-10

{cifar10}

### CIFAR-100

{cifar100}

## The paper's sentences, judged

Each sentence is a function of records, and each source is judged by itself. *holds* or **fails** counts the networks
on which it does; a sentence fails if it fails on one network. *open* is: not enough evidence.

A sentence is a few comparisons of two optimizers on a network, and the 95% interval of each difference must lie wholly
on one side. The interval is Student's t over the seeds that both optimizers ran, or Welch's where a source states means
and deviations. For two single runs it takes the spread of a run from the same source's other runs with several seeds;
where there are none, from the table of Xie et al. for end values, and for curves one point, which is our choice. Many
comparisons are made, and nothing is corrected for their number. The paper's table is read as printed. Xie et al. state
best epochs alone and are read there.

### CIFAR-10: where runs end

{finals}

### CIFAR-10: on the way

{curves}

The parts of the curves that these sentences speak of: means over the first half of the epochs before the first decay
(*early*), over all of them, and between the decays; and what a decay brings, the mean over a twentieth of all epochs
before it minus that after it. First the runs of Mittal et al., then ours.

{theirs}

{ours}

### Where the best epoch says otherwise

{otherwise}

### CIFAR-100

The paper makes no statement about CIFAR-100 but in Figure 1. These are the same sentences, on others' runs and ours.

{hundred}

How each sentence is read:

{readings}

## Rates and weight decays: is it the optimizer?

The miniature of VGG-16 once more, at a third and at three times each rate, and Adam and Amsgrad with the weight decay
of SGD-momentum. The first number is the error on 5,000 held out training pictures, by which a rate may be chosen.

{ablation}

Choosing by the held out error, on the seed that has all of these runs:

{tuned}

Other changes to the recipe:

{variants}

## What ours ran on

{provenance}
"""


def page(root=None):
    """The text of book/results.md.

    Args:
        root: folder of our records; default `padam.records.default_root()`.

    Raises ValueError for a folder that is not there.
    """
    if root is not None and not Path(root).is_dir():
        raise ValueError(f"there is no folder {root}; --out is where `python -m padam train` left its records.")
    found = evidence.collect(root)
    lines = [line for profile in ("full", "small") for line in tables.commands(found, profile)]
    fills = "What fills the dashes of ours, here and in Figure 1:\n\n" + "\n".join(f"    {line}" for line in lines)
    one = [f"### {tables.NAMES[cell.split('/')[1]]}\n\n{rows(*tables.table1(cell, found))}" for cell in claims.CELLS]
    return _PAGE.format(
        tables="\n\n".join(one), missing=fills if lines else "Nothing of ours is missing.",
        elsewhere10=rows(*tables.elsewhere(found, "cifar10")), elsewhere100=rows(*tables.elsewhere(found, "cifar100")),
        cifar10=rows(*tables.figure1("cifar10", found)), cifar100=rows(*tables.figure1("cifar100", found)),
        finals=rows(*tables.verdicts(found, final=True)), curves=rows(*tables.verdicts(found, final=False)),
        theirs=rows(*tables.on_the_way(found, "reproduction-2019")),
        ours="\n\n".join(rows(*table) for s in ("full", "small") if (table := tables.on_the_way(found, s))[1:]),
        otherwise=rows(*tables.disagreements(found)), hundred=rows(*tables.verdicts(found, "cifar100")),
        readings=rows(("sentence", "as it is read here"), *((f"“{c.text}”", c.reading) for c in claims.CLAIMS)),
        ablation=rows(*tables.ablation(found)), tuned=rows(*tables.tuned(found)),
        variants=rows(*tables.variants(found)), provenance=rows(*tables.provenance(root)),
    )  # fmt: skip
