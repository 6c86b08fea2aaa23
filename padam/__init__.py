"""Padam, executable: adaptive optimizers from Adagrad to Padam (Chen et al., IJCAI 2020).

`from padam import Padam` gives the PyTorch optimizers; everything else is a module of its own. Importing the
package loads nothing (PEP 562): `import padam.rules` needs NumPy alone.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from padam.optim import (
        AdaBound,
        AMSGrad,
        Padam,
        PartialAdadelta,
        PartialAdagrad,
        PartialAdamax,
        PartialRMSprop,
        Yogi,
    )

__version__ = "0.1.0"

__all__ = [
    "AMSGrad",
    "AdaBound",
    "Padam",
    "PartialAdadelta",
    "PartialAdagrad",
    "PartialAdamax",
    "PartialRMSprop",
    "Yogi",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from padam import optim

        return getattr(optim, name)
    raise AttributeError(f"module 'padam' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
