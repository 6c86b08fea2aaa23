"""The results page of the book, from records alone: `python -m padam results` writes it."""

from pathlib import Path

from padam import evidence
from padam.evidence import claims, tables
from padam.show import rows

_PAGE = """\
# Results

Every table on this page is made from records, by `python -m padam results`. A test makes it again and compares.

- All numbers are test errors in percent, unless a table says otherwise: *last / best*, after the last epoch and at the
  best one. The best epoch is chosen on the test set, so it flatters; it is here because some sources state no other.
- ± is the standard deviation over runs, and how many these are stands in brackets. One run has no ±.
- **The paper** states the last epoch, and not how many runs that is.
- **Others** at full scale: M, [Mittal, Pandey and Kant (2019)](https://arxiv.org/abs/1901.09517), set out to reproduce
  the paper, one run each; they decay a third time, begin each stage with a fresh optimizer, and their penalties make
  the weight decays twice what they state; on CIFAR-100 the second and third decay are by 100 and by 1,000. X,
  [Xie et al. (2022)](https://arxiv.org/abs/2006.15815) and [(2021)](https://arxiv.org/abs/2103.17182), have these
  optimizers as baselines, three runs each, and state best epochs. [Luo et al.
  (2019)](https://arxiv.org/abs/1902.09843) and [Zhuang et al. (2020)](https://arxiv.org/abs/2010.07468) have one run
  each, on other networks, with one decay, at 150, and without Padam; Luo et al. run Adam and Amsgrad on ResNet-34 with
  another average of the gradient (0.99 for 0.9). Their data in the package say what else differs.
- Left out, for their own notes say that they cannot be compared: the ResNet-18 of M on CIFAR-100, whose rate went up
  again, and their exponents there, each of which had another rate.
- M\\*, WRN-16-4: the last stage is half as wide as it should be, and the weights started so large that the first epochs
  went into shrinking them. What happens there before the first decay is not judged.
- **Ours, full** are the paper's runs, **ours, small** a miniature of them for two cores: narrower networks, a fifth of
  the pictures, 60 epochs, the paper's rates. A miniature's numbers do not carry over to full scale; they show whether
  the same things happen in small.
- A dash is a number that is not there: nobody made the run, or states that epoch.

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

### The paper's sentences about it

{dial}

## Table 2: ImageNet

Errors after the last epoch, top-1 / top-5. torchvision distributes weights of both networks, trained with SGD-momentum
at the paper's rate and batch size, for 90 epochs with decays at 30 and 60; no other full run with the paper's settings
is known to us. The 50 classes are a subset of ours at 64 pixels, trained by the full recipe.

{pictures}

## Table 3: the Penn Treebank

Test perplexities: the exponential of the test loss, so that guessing among as many equally likely words would be as
good. Zhuang et al. trained the regularised LSTM of Merity et al., as our full recipe does, for 200 epochs with decays
at 100 and 145, one run each. They read the test text after every epoch and name no other. Their rates are not the
paper's: with two and three layers Adam, AdamW and AdaBound have 0.01, ten times the paper's, and Yogi has 0.01. Their
SGD has no momentum, a rate of 30, and is in a row of its own. Some of their curves end early.

{texts}

## The paper's sentences, judged

Each sentence is a function of records, and each source is judged by itself. *holds* and **fails** count the networks
on which it does. A sentence fails if it fails on one network; *open* is: not enough evidence; *in part*: some of the
optimizers that it speaks of were not run.

A sentence is a few comparisons of two optimizers on a network. It holds on a network if the 95% interval of every
difference lies wholly on the right side, and fails if one lies wholly on the wrong side. So one of many comparisons is
enough to fail, and nothing is corrected for their number. The interval is Student's t over the seeds that both
optimizers ran, if these are three, or Welch's where a source states means and deviations. With fewer seeds it borrows
how much runs differ: from other runs of the same source with several seeds; where there are none, from the table of Xie
et al. for end values, and from our miniature for parts of curves, the only one of which that is known. The paper's
table is read as printed. Xie et al. are read at their best epochs.

### CIFAR-10: where runs end

{finals}

### CIFAR-10: on the way

{curves}

The parts of the curves that these sentences speak of: means over the first half of the epochs before the first decay
(*early*), over all of them, and between the decays; and what a decay brings, the mean over a twentieth of all epochs
before it minus that after it. Training error and not loss, because some sources have a penalty in their losses. First
the runs of Mittal et al., then ours.

{theirs}

{ours}

### Where the best epoch says otherwise

{otherwise}

### CIFAR-100

The paper makes no statement about CIFAR-100 but in Figure 1. These are the same sentences, on others' runs and ours,
but for those that name CIFAR-10 and its networks.

{hundred}

{hundred_curves}

### ImageNet

The paper says that on ImageNet "all methods behave similarly as in our CIFAR-10 experiments". So the sentences about
CIFAR-10 stand here once more, before those about ImageNet.

{large}

{large_curves}

The parts of our curves that these sentences speak of, as for CIFAR-10:

{large_ours}

### Penn Treebank

Perplexities are compared by their logarithms. Nobody published how much runs at full scale differ, so single runs
borrow it from our miniature, relative to the perplexity.

{spoken}

{spoken_curves}

### How each sentence is read

{readings}

## Rates and weight decays: is it the optimizer?

The miniature of VGG-16 once more, at a third and at three times each rate, and Adam and Amsgrad with the weight decay
of SGD-momentum. The second number is the error on 5,000 held out training pictures, by which a rate may be chosen.

{ablation}

Choosing by the held out error, on the seed that has all of these runs:

{tuned}

Other changes to the recipe:

{variants}

The miniature of ResNet-18 on ImageNet, where Padam's weight decay is five times SGD-momentum's. It holds no pictures
out, so nothing can be chosen here without choosing by the test error.

{ablation_large}

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
    fills = "What fills the dashes of ours, here, in Figure 1 and in the other tables:\n\n" + "\n".join(
        f"    {line}" for line in lines
    )
    return _PAGE.format(
        tables=_networks(tables.table1, claims.CELLS, found),
        missing=fills if lines else "Nothing of ours is missing.",
        elsewhere10=rows(*tables.elsewhere(found, "cifar10")),
        elsewhere100=rows(*tables.elsewhere(found, "cifar100")),
        cifar10=rows(*tables.figure1("cifar10", found)),
        cifar100=rows(*tables.figure1("cifar100", found)),
        finals=rows(*tables.verdicts(found)),
        curves=rows(*tables.verdicts(found, about="curves")),
        dial=rows(*tables.verdicts(found, about="figure 1")),
        theirs=rows(*tables.on_the_way(found, "reproduction-2019")),
        ours=_ways(found, claims.CELLS),
        otherwise=rows(*tables.disagreements(found)),
        hundred=rows(*tables.verdicts(found, "cifar100")),
        hundred_curves=rows(*tables.verdicts(found, "cifar100", "curves")),
        readings=rows(("sentence", "as it is read here"), *((f"“{c.text}”", c.reading) for c in claims.CLAIMS)),
        ablation=rows(*tables.ablation(found)),
        tuned=rows(*tables.tuned(found)),
        ablation_large=rows(*tables.ablation(found, "imagenet/resnet18")),
        variants=rows(*tables.variants(found)),
        provenance=rows(*tables.provenance(root)),
        pictures=_networks(tables.table2, claims.LARGE, found),
        large=rows(*tables.verdicts(found, "imagenet")),
        large_curves=rows(*tables.verdicts(found, "imagenet", "curves")),
        large_ours=_ways(found, claims.LARGE),
        texts=_networks(tables.table3, claims.TEXTS, found),
        spoken=rows(*tables.verdicts(found, "ptb")),
        spoken_curves=rows(*tables.verdicts(found, "ptb", "curves")),
    )


def _networks(table, cells, found):
    """A section for each network of a table of the paper's."""
    return "\n\n".join(f"### {tables.NAMES[cell.split('/')[1]]}\n\n{rows(*table(cell, found))}" for cell in cells)


def _ways(found, cells):
    """What `padam.evidence.tables.on_the_way` has of our runs on these networks."""
    made = [tables.on_the_way(found, source, cells) for source in ("full", "small")]
    return "\n\n".join(rows(*table) for table in made if table[1:])
