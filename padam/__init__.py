"""Padam, executable: adaptive optimizers from Adagrad to Padam (Chen et al., IJCAI 2020).

`from padam import Padam` gives the PyTorch optimizers; everything else is a module of its own. Importing the
package loads nothing (PEP 562): `import padam.rules` needs NumPy alone.
"""

__version__ = "0.1.0"

_OPTIMIZERS = (
    "Padam", "AMSGrad", "Yogi", "AdaBound",
    "PartialAdagrad", "PartialRMSprop", "PartialAdadelta", "PartialAdamax",
)  # fmt: skip

__all__ = [*_OPTIMIZERS]


def __getattr__(name):
    if name in _OPTIMIZERS:
        from padam import optim

        return getattr(optim, name)
    raise AttributeError(f"module 'padam' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_OPTIMIZERS])
