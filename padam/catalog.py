"""The table of optimizers, in the order of `rules.py`: plain data, in three parts that are read by different people.

1. What a step needs: state, defaults, the range of every option. `reference.py` and `padam.optim` read no more.
2. What a page shows: names, citations, the columns of the one equation, the LaTeX.
3. What tests compare with: independent implementations, and the settings under which they must agree.

What is computed lives in `rules.py`. Nothing here is a number that a run produced.
"""

import sys
import warnings
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Slot:
    """One array of an optimizer's state: its LaTeX, its key in torch's state, and where it starts."""

    latex: str
    torch_key: str
    start: float | str = 0.0  # a number, or the name of the hyperparameter that holds it
    shape: str = "like x"  # or "scalar"


@dataclass(frozen=True)
class Oracle:
    """An independent implementation and the exact settings under which it must agree with the rule.

    `settings` maps its argument names to ours (a string) or to a fixed value. `run` are settings of ours for
    the comparison, `start` values its state is set to first. `rtol` bounds the float64 error relative to
    the distance travelled; `why` says what the bound has to allow for.
    """

    call: str
    settings: dict
    run: dict = field(default_factory=dict)
    start: dict = field(default_factory=dict)
    rtol: float = 1e-12
    why: str = "float64 rounding over the steps"


@dataclass(frozen=True)
class Entry:
    """One optimizer: what a step needs, what a page shows, what tests compare with."""

    name: str
    torch_class: str  # "" if there is none
    slots: dict  # name in the rule -> Slot
    defaults: dict
    # what a page shows
    title: str
    cite: str  # key in book/references.bib
    source: str  # where the rule stands in that work, and in the paper
    columns: dict  # the four columns of the one equation; decay is the fifth
    latex: tuple
    # what tests compare with
    oracles: tuple
    # and what few of them have
    corrections: tuple = ("none", "folded", "exact")
    torch_names: dict = field(default_factory=dict)  # ours -> torch's, where they differ
    departure: str = ""  # how it leaves the one equation, if it does


@dataclass(frozen=True)
class Correction:
    """How lr and eps become alpha_t and eps_t; c_1 = 1 - beta_1^t, c_2 = 1 - beta_2^t."""

    latex: tuple
    whose: str


# ---------------------------------------------------------------------------------------- 1. what a step needs

# Exponents that a few square roots make, and how many: pow is several times slower.
ROOTS = {1.0: 0, 1 / 2: 1, 1 / 4: 2, 1 / 8: 3}

# What a hyperparameter may be: lowest, highest, whether each end is allowed, and what helps who is outside.
_INF = float("inf")
_AVERAGE = "it is the share an average keeps of its past; 0.9 and 0.999 are usual"
LIMITS = {
    "lr": (0.0, _INF, True, False, "the base learning rate; Padam's is 0.1 in the paper, Adam's 0.001"),
    "base_lr": (0.0, _INF, True, False, "the lr that final_lr is relative to; it is set by itself"),
    "eps": (0.0, _INF, True, False, "it keeps the denominator from 0; 1e-8 is usual"),
    "beta1": (0.0, 1.0, True, False, _AVERAGE),
    "beta2": (0.0, 1.0, True, False, _AVERAGE),
    "alpha": (0.0, 1.0, True, False, _AVERAGE),  # RMSprop's beta2 in torch
    "rho": (0.0, 1.0, True, False, _AVERAGE),  # Adadelta's
    "p": (
        0.0,
        1.0,
        True,
        True,
        "p = 0 is SGD with momentum and p = 1/2 Amsgrad, which is as far as the paper's proof goes (Section 3); at "
        "p = 1 the denominator is v_hat itself. The paper uses 1/8 for images",
    ),
    "weight_decay": (0.0, _INF, True, False, "5e-4 is usual with decay='l2'"),
    "momentum": (0.0, 1.0, True, False, "0.9 is usual"),
    "momentum_decay": (0.0, _INF, True, False, "torch's default is 4e-3"),
    "final_lr": (0.0, _INF, True, False, "the rate both bounds close on; 0.1 in the paper"),
    "gamma": (0.0, _INF, False, False, "how fast the bounds close; 1e-3 is its authors' default"),
    "initial_accumulator": (0.0, _INF, True, False, "where v starts; 1e-6 is usual"),
    "initial_accumulator_value": (0.0, _INF, True, False, "where the sum starts; 0 is usual"),
    "lr_decay": (0.0, _INF, True, False, "0 leaves the rate to the sum"),
}


def check(who, values):
    """Raise ValueError for the first of `values` (a dict by our names) outside `LIMITS`, or TypeError if no number.

    `who` begins the message. A text is no number, not even "0.1" (nor is 1e-3 to YAML, which wants 1.0e-3).
    """
    for name, value in values.items():
        if name not in LIMITS:
            continue
        low, high, with_low, with_high, hint = LIMITS[name]
        text = f"{'[' if with_low else '('}{low:g}, {'∞' if high == _INF else f'{high:g}'}{']' if with_high else ')'}"
        try:
            number = float("text" if isinstance(value, str | bytes) else value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{who}: {name} is {value!r}, but must be a number in {text}: {hint}.") from error
        inside = (low <= number if with_low else low < number) and (number <= high if with_high else number < high)
        if not inside:
            raise ValueError(f"{who}: {name} = {number:g} is outside {text}: {hint}.")


def warn_beyond_the_proof(who, p):
    """UserWarning for an exponent that the paper's proof of convergence does not cover; `p` may be None."""
    if p is not None and p > 0.5:
        warnings.warn(
            f"{who}: p = {p:g} is beyond 1/2. The paper's Theorem 4.3, which bounds the mean squared gradient, does "
            f"not hold there, and the denominator's smallest value is eps^(2p), so rates have to be far smaller.",
            UserWarning,
            stacklevel=level_of_the_caller(),
        )


def level_of_the_caller():
    """How many frames above a warning's own the first is that is neither ours nor torch's."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in ("padam", "torch"):
        frame, level = frame.f_back, level + 1
    return level


_ADAM_SLOTS = {"m": Slot("m", "exp_avg"), "v": Slot("v", "exp_avg_sq")}
_AMSGRAD_SLOTS = {**_ADAM_SLOTS, "v_hat": Slot(r"\hat{v}", "max_exp_avg_sq")}
_BETAS = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}

_STEPS = {
    "sgdm": {
        "torch_class": "torch.optim.SGD",
        "slots": {"m": Slot("m", "momentum_buffer")},
        "defaults": {"lr": 0.1, "momentum": 0.9},
        "corrections": ("none",),
    },
    "sgdm_ema": {
        "torch_class": "",
        "slots": {"m": Slot("m", "momentum_buffer")},
        "defaults": {"lr": 1.0, "beta1": 0.9},
        "corrections": ("none",),
    },
    "adagrad": {
        "torch_class": "torch.optim.Adagrad",
        "slots": {"v": Slot("v", "sum")},
        "defaults": {"lr": 1e-2, "eps": 1e-10},
        "corrections": ("none",),
    },
    "adagrad_mean": {
        "torch_class": "",
        "slots": {"v": Slot("v", "")},
        "defaults": {"lr": 1e-2, "eps": 1e-10},
        "corrections": ("none",),
    },
    "rmsprop": {
        "torch_class": "torch.optim.RMSprop",
        "slots": {"v": Slot("v", "square_avg")},
        "defaults": {"lr": 1e-2, "beta2": 0.99, "eps": 1e-8},
        "corrections": ("none",),
        "torch_names": {"beta2": "alpha"},
    },
    "adadelta": {
        "torch_class": "torch.optim.Adadelta",
        "slots": {"v": Slot("v", "square_avg"), "u": Slot("u", "acc_delta")},
        "defaults": {"lr": 1.0, "beta2": 0.9, "eps": 1e-6},
        "corrections": ("none",),
        "torch_names": {"beta2": "rho"},
    },
    "adamax": {
        "torch_class": "torch.optim.Adamax",
        "slots": {"m": Slot("m", "exp_avg"), "u": Slot("u", "exp_inf")},
        "defaults": {"lr": 2e-3, **_BETAS},
        "corrections": ("none",),
    },
    "adam": {
        "torch_class": "torch.optim.Adam",
        "slots": _ADAM_SLOTS,
        "defaults": {"lr": 1e-3, **_BETAS, "correction": "exact"},
    },
    "nadam": {
        "torch_class": "torch.optim.NAdam",
        "slots": {**_ADAM_SLOTS, "mu_product": Slot(r"\prod \mu", "mu_product", 1.0, "scalar")},
        "defaults": {"lr": 2e-3, **_BETAS, "momentum_decay": 4e-3},
        "corrections": ("none",),
    },
    "amsgrad": {
        "torch_class": "padam.AMSGrad",
        "slots": _AMSGRAD_SLOTS,
        "defaults": {"lr": 1e-3, **_BETAS, "correction": "none"},
    },
    "padam": {
        "torch_class": "padam.Padam",
        "slots": _AMSGRAD_SLOTS,
        "defaults": {"lr": 0.1, **_BETAS, "p": 1 / 8, "correction": "none"},
    },
    "partial_adagrad": {
        "torch_class": "padam.PartialAdagrad",
        "slots": {"v": Slot("v", "sum", "initial_accumulator_value")},
        "defaults": {"lr": 1e-2, "eps": 1e-10, "p": 1 / 2, "initial_accumulator_value": 0.0},
        "corrections": ("none",),
    },
    "partial_rmsprop": {
        "torch_class": "padam.PartialRMSprop",
        "slots": {"v": Slot("v", "square_avg")},
        "defaults": {"lr": 1e-2, "beta2": 0.99, "eps": 1e-8, "p": 1 / 2},
        "corrections": ("none",),
        "torch_names": {"beta2": "alpha"},
    },
    "partial_adadelta": {
        "torch_class": "padam.PartialAdadelta",
        "slots": {"v": Slot("v", "square_avg"), "u": Slot("u", "acc_delta")},
        "defaults": {"lr": 1.0, "beta2": 0.9, "eps": 1e-6, "p": 1 / 2},
        "corrections": ("none",),
        "torch_names": {"beta2": "rho"},
    },
    "partial_adamax": {
        "torch_class": "padam.PartialAdamax",
        "slots": {"m": Slot("m", "exp_avg"), "u": Slot("u", "exp_inf")},
        "defaults": {"lr": 2e-3, **_BETAS, "p": 1 / 2},
        "corrections": ("none",),
    },
    "adamw": {
        "torch_class": "torch.optim.AdamW",
        "slots": _ADAM_SLOTS,
        "defaults": {"lr": 1e-3, **_BETAS, "correction": "exact", "weight_decay": 1e-2, "decay": "decoupled"},
    },
    "yogi": {
        "torch_class": "padam.Yogi",
        "slots": {"m": Slot("m", "exp_avg"), "v": Slot("v", "exp_avg_sq", "initial_accumulator")},
        "defaults": {"lr": 1e-2, **_BETAS, "eps": 1e-3, "initial_accumulator": 1e-6, "correction": "exact"},
    },
    "adabound": {
        "torch_class": "padam.AdaBound",
        "slots": _ADAM_SLOTS,
        "defaults": {"lr": 1e-3, **_BETAS, "final_lr": 0.1, "gamma": 1e-3, "correction": "folded"},
    },
}

# ---------------------------------------------------------------------------------------- 2. what a page shows

CORRECTIONS = {
    "none": Correction((r"\alpha_t = \alpha", r"\epsilon_t = \epsilon"), "Algorithm 1 of the paper"),
    "folded": Correction(
        (r"\alpha_t = \alpha \frac{\sqrt{c_2}}{c_1}", r"\epsilon_t = \epsilon"),
        "the authors' released code, and AdaBound's",
    ),
    "exact": Correction(
        (r"\alpha_t = \alpha \frac{c_2^p}{c_1}", r"\epsilon_t = \epsilon \sqrt{c_2}"),
        "bias correction proper, as torch and optax compute Adam",
    ),
}

DECAYS = {
    "l2": (r"g_t = \nabla f_t(x_t) + \lambda x_t", "added to the gradient"),
    "decoupled": (r"\tilde{x}_t = (1 - \alpha \lambda) x_t", "shrinks the weights, as AdamW does"),
}

# Lines that several rules share, so that what differs is what a reader sees.
_M = r"m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t"
_V = r"v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2"
_V_HAT = r"\hat{v}_t = \max(\hat{v}_{t-1}, v_t)"
_U = r"u_t = \max(\beta_2 u_{t-1}, |g_t| + \epsilon_t)"
_D_MEAN = r"u_t = \beta_2 u_{t-1} + (1 - \beta_2) d_t^2"
_SUM = r"v_t = \sum_{j=1}^{t} g_j^2"
_EMA = {"m": "EMA of g", "v": "EMA of g²"}

_PAGES = {
    "sgdm": {
        "title": "SGD-momentum",
        "cite": "sutskever2013",
        "source": "Polyak's heavy ball as torch writes it; the baseline of the paper's Section 5",
        "columns": {"m": "discounted sum of g", "v": "1", "p": "0", "correction": "none"},
        "latex": (r"m_t = \mu m_{t-1} + g_t", r"x_{t+1} = x_t - \alpha_t m_t"),
    },
    "sgdm_ema": {
        "title": "SGD-momentum, averaged",
        "cite": "chen2020",
        "source": "footnote 3 of the paper: SGD-momentum with the factor 1 - β₁ in m",
        "columns": {"m": "EMA of g", "v": "1", "p": "0", "correction": "none"},
        "latex": (_M, r"x_{t+1} = x_t - \alpha_t m_t"),
    },
    "adagrad": {
        "title": "Adagrad",
        "cite": "duchi2011",
        "source": "Figure 1 of the original (diagonal, composite mirror descent), in torch's form",
        "columns": {"m": "g", "v": "sum of g²", "p": "1/2", "correction": "none"},
        "latex": (_SUM, r"x_{t+1} = x_t - \alpha_t \frac{g_t}{\sqrt{v_t} + \epsilon_t}"),
    },
    "adagrad_mean": {
        "title": "Adagrad, as a mean",
        "cite": "chen2020",
        "source": "the paper's Section 2, first displayed equation, with α_t = α/√t",
        "columns": {"m": "g", "v": "mean of g²", "p": "1/2", "correction": "1/√t"},
        "departure": "its rate carries a 1/√t of its own",
        "latex": (
            r"v_t = \frac{1}{t} \sum_{j=1}^{t} g_j^2",
            r"x_{t+1} = x_t - \frac{\alpha_t}{\sqrt{t}} \frac{g_t}{\sqrt{v_t} + \epsilon_t}",
        ),
    },
    "rmsprop": {
        "title": "RMSprop",
        "cite": "hinton2012",
        "source": "lecture 6, slide 29; the paper's Section 2 in words",
        "columns": {"m": "g", "v": "EMA of g²", "p": "1/2", "correction": "none"},
        "latex": (_V, r"x_{t+1} = x_t - \alpha_t \frac{g_t}{\sqrt{v_t} + \epsilon_t}"),
    },
    "adadelta": {
        "title": "Adadelta",
        "cite": "zeiler2012",
        "source": "Algorithm 1 of the original, equation (14)",
        "columns": {"m": "g", "v": "EMA of g²", "p": "1/2", "correction": "none"},
        "departure": "a numerator, and eps inside the root",
        "latex": (
            _V,
            r"d_t = \sqrt{\frac{u_{t-1} + \epsilon_t}{v_t + \epsilon_t}} g_t",
            _D_MEAN,
            r"x_{t+1} = x_t - \alpha_t d_t",
        ),
    },
    "adamax": {
        "title": "AdaMax",
        "cite": "kingma2015",
        "source": "Algorithm 2 of the original, Section 7.1",
        "columns": {"m": "EMA of g", "v": "decaying maximum of |g|, squared", "p": "1/2", "correction": "its own"},
        "departure": "a maximum takes the place of the average, and only m is corrected",
        "latex": (_M, _U, r"x_{t+1} = x_t - \frac{\alpha_t}{1 - \beta_1^t} \frac{m_t}{u_t}"),
    },
    "adam": {
        "title": "Adam",
        "cite": "kingma2015",
        "source": "Algorithm 1 of the original; the paper's Section 2, second displayed equation",
        "columns": {**_EMA, "p": "1/2", "correction": "exact"},
        "latex": (_M, _V, r"x_{t+1} = x_t - \alpha_t \frac{m_t}{\sqrt{v_t} + \epsilon_t}"),
    },
    "nadam": {
        "title": "NAdam",
        "cite": "dozat2016",
        "source": "Algorithm 2 of the original, with torch's schedule for the momentum",
        "columns": {**_EMA, "m": "EMA of g, Nesterov", "p": "1/2", "correction": "its own"},
        "departure": "looks one step ahead along m, and brings its own corrections",
        "latex": (
            r"\mu_t = \beta_1 (1 - \frac{1}{2} 0.96^{\psi t})",
            r"\mu_{t+1} = \beta_1 (1 - \frac{1}{2} 0.96^{\psi (t+1)})",
            _M,
            _V,
            r"n_t = \frac{1 - \mu_t}{1 - \prod_{j=1}^{t} \mu_j} g_t"
            r" + \frac{\mu_{t+1}}{1 - \mu_{t+1} \prod_{j=1}^{t} \mu_j} m_t",
            r"x_{t+1} = x_t - \alpha_t \frac{n_t}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon_t}",
        ),
    },
    "amsgrad": {
        "title": "Amsgrad",
        "cite": "reddi2018",
        "source": "Algorithm 2 of the original; the paper's Section 2, third displayed equation",
        "columns": {**_EMA, "v": "running maximum of the EMA of g²", "p": "1/2", "correction": "none"},
        "latex": (_M, _V, _V_HAT, r"x_{t+1} = x_t - \alpha_t \frac{m_t}{\sqrt{\hat{v}_t} + \epsilon_t}"),
    },
    "padam": {
        "title": "Padam",
        "cite": "chen2020",
        "source": "Algorithm 1 of the paper",
        "columns": {**_EMA, "v": "running maximum of the EMA of g²", "p": "p", "correction": "none"},
        "latex": (_M, _V, _V_HAT, r"x_{t+1} = x_t - \alpha_t \frac{m_t}{(\sqrt{\hat{v}_t} + \epsilon_t)^{2p}}"),
    },
    "partial_adagrad": {
        "title": "partially adaptive Adagrad",
        "cite": "chen2020",
        "source": "the closing remark of the paper's Section 3, not written out there",
        "columns": {"m": "g", "v": "sum of g²", "p": "p", "correction": "none"},
        "latex": (_SUM, r"x_{t+1} = x_t - \alpha_t \frac{g_t}{(\sqrt{v_t} + \epsilon_t)^{2p}}"),
    },
    "partial_rmsprop": {
        "title": "partially adaptive RMSprop",
        "cite": "chen2020",
        "source": "the closing remark of the paper's Section 3, not written out there",
        "columns": {"m": "g", "v": "EMA of g²", "p": "p", "correction": "none"},
        "latex": (_V, r"x_{t+1} = x_t - \alpha_t \frac{g_t}{(\sqrt{v_t} + \epsilon_t)^{2p}}"),
    },
    "partial_adadelta": {
        "title": "partially adaptive Adadelta",
        "cite": "chen2020",
        "source": "the closing remark of the paper's Section 3, not written out there",
        "columns": {"m": "g", "v": "EMA of g²", "p": "p", "correction": "none"},
        "departure": "a numerator, and eps inside the root",
        "latex": (
            _V,
            r"d_t = (\frac{u_{t-1} + \epsilon_t}{v_t + \epsilon_t})^p g_t",
            _D_MEAN,
            r"x_{t+1} = x_t - \alpha_t d_t",
        ),
    },
    "partial_adamax": {
        "title": "partially adaptive AdaMax",
        "cite": "chen2020",
        "source": "the closing remark of the paper's Section 3, not written out there",
        "columns": {"m": "EMA of g", "v": "decaying maximum of |g|, squared", "p": "p", "correction": "its own"},
        "departure": "a maximum takes the place of the average, and only m is corrected",
        "latex": (_M, _U, r"x_{t+1} = x_t - \frac{\alpha_t}{1 - \beta_1^t} \frac{m_t}{u_t^{2p}}"),
    },
    "adamw": {
        "title": "AdamW",
        "cite": "loshchilov2019",
        "source": "Algorithm 2 of the original, without its schedule multiplier",
        "columns": {**_EMA, "p": "1/2", "correction": "exact"},
        "latex": (
            _M,
            _V,
            DECAYS["decoupled"][0],
            r"x_{t+1} = \tilde{x}_t - \alpha_t \frac{m_t}{\sqrt{v_t} + \epsilon_t}",
        ),
    },
    "yogi": {
        "title": "Yogi",
        "cite": "zaheer2018",
        "source": "Algorithm 2 of the original, with Adam's correction as optax has it",
        "columns": {**_EMA, "v": "moves by at most (1 - β₂) g²", "p": "1/2", "correction": "exact"},
        "latex": (
            _M,
            r"v_t = v_{t-1} - (1 - \beta_2) \operatorname{sign}(v_{t-1} - g_t^2) g_t^2",
            r"x_{t+1} = x_t - \alpha_t \frac{m_t}{\sqrt{v_t} + \epsilon_t}",
        ),
    },
    "adabound": {
        "title": "AdaBound",
        "cite": "luo2019",
        "source": "Algorithm 2 of the original, with the constants and the correction of its code",
        "columns": {**_EMA, "p": "1/2, clipped", "correction": "folded"},
        "departure": "the effective rate is clipped between two bounds that close on final_lr",
        "latex": (
            _M,
            _V,
            r"l_t = \eta_t (1 - \frac{1}{\gamma t + 1})",
            r"u_t = \eta_t (1 + \frac{1}{\gamma t})",
            r"x_{t+1} = x_t - \min(\max(\frac{\alpha_t}{\sqrt{v_t} + \epsilon_t}, l_t), u_t) m_t",
        ),
    },
}

# ---------------------------------------------------------------------------------------- 3. what tests compare with

_TORCH = {"lr": "lr", "eps": "eps", "weight_decay": "weight_decay"}
_TORCH_ADAM = {**_TORCH, "betas": ("beta1", "beta2")}
_OPTAX = {"learning_rate": "lr", "b1": "beta1", "b2": "beta2", "eps": "eps"}
_PLAIN = "plain Python floats"  # computed number by number in the tests

_ORACLES = {
    "sgdm": (
        Oracle("torch.optim.SGD", {"lr": "lr", "momentum": "momentum", "weight_decay": "weight_decay"}),
        Oracle("optax.sgd", {"learning_rate": "lr", "momentum": "momentum"}),
    ),
    "sgdm_ema": (Oracle("optax.ema", {"decay": "beta1", "debias": False}),),
    "adagrad": (Oracle("torch.optim.Adagrad", _TORCH),),
    "adagrad_mean": (
        Oracle(
            "torch.optim.Adagrad",
            _TORCH,
            run={"eps": 0.0},
            why="float64 rounding; eps = 0, for eps beside a mean is not eps beside a sum",
        ),
    ),
    "rmsprop": (Oracle("torch.optim.RMSprop", {**_TORCH, "alpha": "beta2"}),),
    "adadelta": (
        Oracle("torch.optim.Adadelta", {**_TORCH, "rho": "beta2"}),
        Oracle("optax.adadelta", {"learning_rate": "lr", "rho": "beta2", "eps": "eps"}),
    ),
    "adamax": (Oracle("torch.optim.Adamax", _TORCH_ADAM), Oracle("optax.adamax", _OPTAX)),
    "adam": (Oracle("torch.optim.Adam", _TORCH_ADAM), Oracle("optax.adam", _OPTAX)),
    "nadam": (
        Oracle(
            "torch.optim.NAdam",
            {**_TORCH_ADAM, "momentum_decay": "momentum_decay"},
            rtol=2e-6,
            why="torch keeps the product of the mu_t in float32",
        ),
    ),
    "amsgrad": (
        Oracle("torch.optim.Adam", {**_TORCH_ADAM, "amsgrad": True}, run={"correction": "exact"}),
        Oracle("optax.amsgrad", {**_OPTAX, "bias_correction_mu": False, "bias_correction_nu": False}),
    ),
    "padam": (
        Oracle("authors' code", {}, run={"correction": "folded"}),
        Oracle("torch.optim.Adam", {**_TORCH_ADAM, "amsgrad": True}, run={"p": 0.5, "correction": "exact"}),
    ),
    "partial_adagrad": (Oracle(_PLAIN, {}), Oracle("torch.optim.Adagrad", _TORCH, run={"p": 0.5})),
    "partial_rmsprop": (
        Oracle(_PLAIN, {}),
        Oracle("torch.optim.RMSprop", {**_TORCH, "alpha": "beta2"}, run={"p": 0.5}),
    ),
    "partial_adadelta": (
        Oracle(_PLAIN, {}),
        Oracle("torch.optim.Adadelta", {**_TORCH, "rho": "beta2"}, run={"p": 0.5}),
    ),
    "partial_adamax": (Oracle(_PLAIN, {}), Oracle("torch.optim.Adamax", _TORCH_ADAM, run={"p": 0.5})),
    "adamw": (
        Oracle("torch.optim.AdamW", _TORCH_ADAM),
        Oracle("optax.adamw", {**_OPTAX, "weight_decay": "weight_decay"}),
    ),
    "yogi": (
        Oracle(
            "optax.yogi",
            _OPTAX,
            start={"mu": 0.0},
            why="float64 rounding; optax starts m at 1e-6 too, so its m is set to 0 first",
        ),
    ),
    "adabound": (
        Oracle(
            "adabound.AdaBound",
            {**_TORCH_ADAM, "final_lr": "final_lr", "gamma": "gamma"},
        ),
    ),
}

CATALOG = {name: Entry(name, **step, **_PAGES[name], oracles=_ORACLES[name]) for name, step in _STEPS.items()}


def torch_options(name, hyper):
    """Hyperparameters by our names -> arguments of the entry's PyTorch class, which has its own ways to say them."""
    entry = CATALOG[name]
    ours = entry.torch_class.startswith("padam.")
    options = {"betas": (hyper["beta1"], hyper["beta2"])} if {"beta1", "beta2"} <= set(hyper) else {}
    for key, value in hyper.items():
        if key in ("correction", "decay") and not ours:  # torch's classes have theirs built in
            continue
        if key not in ("beta1", "beta2") or key in entry.torch_names:
            options[entry.torch_names.get(key, key)] = value
    return options
