"""The table of optimizers: one entry each, plain data, in the order of `rules.py`.

What is computed lives in `rules.py`; this file says what each rule is called, where it comes from, what it
chooses in the columns of the one equation, how its mathematics is typeset, which PyTorch class runs it and
which independent library it is checked against. Nothing here names a number that a run produced.
"""

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
    """One optimizer. `columns` are the four columns of the one equation, decay the fifth."""

    name: str
    title: str
    cite: str  # key in book/references.bib
    source: str  # where the rule stands in that work, and in the paper
    columns: dict
    slots: dict
    defaults: dict
    latex: tuple
    torch_class: str
    oracles: tuple
    torch_names: dict = field(default_factory=dict)  # ours -> torch's, where they differ
    corrections: tuple = ("none", "folded", "exact")
    departure: str = ""  # how it leaves the one equation, if it does


@dataclass(frozen=True)
class Correction:
    """How lr and eps become alpha_t and eps_t; c_1 = 1 - beta_1^t, c_2 = 1 - beta_2^t."""

    latex: tuple
    whose: str


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

# Exponents that a few square roots make, and how many: pow is several times slower.
ROOTS = {1.0: 0, 1 / 2: 1, 1 / 4: 2, 1 / 8: 3}

# What a hyperparameter may be: lowest, highest, whether each end is allowed, and what helps who is outside.
_INF = float("inf")
_AVERAGE = "it is the share an average keeps of its past; 0.9 and 0.999 are usual"
LIMITS = {
    "lr": (0.0, _INF, True, False, "the base learning rate; Padam's is 0.1 in the paper, Adam's 0.001"),
    "eps": (0.0, _INF, True, False, "it keeps the denominator from 0; 1e-8 is usual"),
    "beta1": (0.0, 1.0, True, False, _AVERAGE),
    "beta2": (0.0, 1.0, True, False, _AVERAGE),
    "alpha": (0.0, 1.0, True, False, _AVERAGE),  # RMSprop's beta2 in torch
    "rho": (0.0, 1.0, True, False, _AVERAGE),  # Adadelta's
    "p": (
        0.0,
        0.5,
        True,
        True,
        "p = 0 is SGD with momentum and p = 1/2 Amsgrad; beyond 1/2 the paper's proof of convergence fails "
        "(Section 3). The paper uses 1/8 for images",
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
    """Raise ValueError for the first of `values` (a dict by our names) outside `LIMITS`, or TypeError if no number."""
    for name, value in values.items():
        if name not in LIMITS:
            continue
        low, high, with_low, with_high, hint = LIMITS[name]
        text = f"{'[' if with_low else '('}{low:g}, {'∞' if high == _INF else f'{high:g}'}{']' if with_high else ')'}"
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{who}: {name} is {value!r}, but must be a number in {text}: {hint}.") from error
        inside = (low <= number if with_low else low < number) and (number <= high if with_high else number < high)
        if not inside:
            raise ValueError(f"{who}: {name} = {number:g} is outside {text}: {hint}.")


# Lines that several rules share, so that what differs is what a reader sees.
_M = r"m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t"
_V = r"v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2"
_V_HAT = r"\hat{v}_t = \max(\hat{v}_{t-1}, v_t)"
_U = r"u_t = \max(\beta_2 u_{t-1}, |g_t| + \epsilon_t)"
_D_MEAN = r"u_t = \beta_2 u_{t-1} + (1 - \beta_2) d_t^2"
_SUM = r"v_t = \sum_{j=1}^{t} g_j^2"

_ADAM_SLOTS = {"m": Slot("m", "exp_avg"), "v": Slot("v", "exp_avg_sq")}
_AMSGRAD_SLOTS = {**_ADAM_SLOTS, "v_hat": Slot(r"\hat{v}", "max_exp_avg_sq")}
_BETAS = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
_EMA = {"m": "EMA of g", "v": "EMA of g²"}
_TORCH = {"lr": "lr", "eps": "eps", "weight_decay": "weight_decay"}
_TORCH_ADAM = {**_TORCH, "betas": ("beta1", "beta2")}
_OPTAX = {"learning_rate": "lr", "b1": "beta1", "b2": "beta2", "eps": "eps"}
_PLAIN = "plain Python floats"  # computed number by number in the tests

_ENTRIES = (
    Entry(
        "sgdm",
        "SGD-momentum",
        "sutskever2013",
        "Polyak's heavy ball as torch writes it; the baseline of the paper's Section 5",
        {"m": "discounted sum of g", "v": "1", "p": "0", "correction": "none"},
        {"m": Slot("m", "momentum_buffer")},
        {"lr": 0.1, "momentum": 0.9},
        (r"m_t = \mu m_{t-1} + g_t", r"x_{t+1} = x_t - \alpha_t m_t"),
        "torch.optim.SGD",
        (
            Oracle("torch.optim.SGD", {"lr": "lr", "momentum": "momentum", "weight_decay": "weight_decay"}),
            Oracle("optax.sgd", {"learning_rate": "lr", "momentum": "momentum"}),
        ),
        corrections=("none",),
    ),
    Entry(
        "sgdm_ema",
        "SGD-momentum, averaged",
        "chen2020",
        "footnote 3 of the paper: SGD-momentum with the factor 1 - β₁ in m",
        {"m": "EMA of g", "v": "1", "p": "0", "correction": "none"},
        {"m": Slot("m", "momentum_buffer")},
        {"lr": 1.0, "beta1": 0.9},
        (_M, r"x_{t+1} = x_t - \alpha_t m_t"),
        "",
        (Oracle("optax.ema", {"decay": "beta1", "debias": False}),),
        corrections=("none",),
    ),
    Entry(
        "adagrad",
        "Adagrad",
        "duchi2011",
        "Figure 1 of the original (diagonal, composite mirror descent), in torch's form",
        {"m": "g", "v": "sum of g²", "p": "1/2", "correction": "none"},
        {"v": Slot("v", "sum")},
        {"lr": 1e-2, "eps": 1e-10},
        (_SUM, r"x_{t+1} = x_t - \alpha_t \frac{g_t}{\sqrt{v_t} + \epsilon_t}"),
        "torch.optim.Adagrad",
        (Oracle("torch.optim.Adagrad", _TORCH),),
        corrections=("none",),
    ),
    Entry(
        "adagrad_mean",
        "Adagrad, as a mean",
        "chen2020",
        "the paper's Section 2, first displayed equation, with α_t = α/√t",
        {"m": "g", "v": "mean of g²", "p": "1/2", "correction": "1/√t"},
        {"v": Slot("v", "")},
        {"lr": 1e-2, "eps": 1e-10},
        (
            r"v_t = \frac{1}{t} \sum_{j=1}^{t} g_j^2",
            r"x_{t+1} = x_t - \frac{\alpha_t}{\sqrt{t}} \frac{g_t}{\sqrt{v_t} + \epsilon_t}",
        ),
        "",
        (
            Oracle(
                "torch.optim.Adagrad",
                _TORCH,
                run={"eps": 0.0},
                why="float64 rounding; eps = 0, for eps beside a mean is not eps beside a sum",
            ),
        ),
        corrections=("none",),
        departure="its rate carries a 1/√t of its own",
    ),
    Entry(
        "rmsprop",
        "RMSprop",
        "hinton2012",
        "lecture 6, slide 29; the paper's Section 2 in words",
        {"m": "g", "v": "EMA of g²", "p": "1/2", "correction": "none"},
        {"v": Slot("v", "square_avg")},
        {"lr": 1e-2, "beta2": 0.99, "eps": 1e-8},
        (_V, r"x_{t+1} = x_t - \alpha_t \frac{g_t}{\sqrt{v_t} + \epsilon_t}"),
        "torch.optim.RMSprop",
        (Oracle("torch.optim.RMSprop", {**_TORCH, "alpha": "beta2"}),),
        torch_names={"beta2": "alpha"},
        corrections=("none",),
    ),
    Entry(
        "adadelta",
        "Adadelta",
        "zeiler2012",
        "Algorithm 1 of the original, equation (14)",
        {"m": "g", "v": "EMA of g²", "p": "1/2", "correction": "none"},
        {"v": Slot("v", "square_avg"), "u": Slot("u", "acc_delta")},
        {"lr": 1.0, "beta2": 0.9, "eps": 1e-6},
        (
            _V,
            r"d_t = \sqrt{\frac{u_{t-1} + \epsilon_t}{v_t + \epsilon_t}} g_t",
            _D_MEAN,
            r"x_{t+1} = x_t - \alpha_t d_t",
        ),
        "torch.optim.Adadelta",
        (
            Oracle("torch.optim.Adadelta", {**_TORCH, "rho": "beta2"}),
            Oracle("optax.adadelta", {"learning_rate": "lr", "rho": "beta2", "eps": "eps"}),
        ),
        torch_names={"beta2": "rho"},
        corrections=("none",),
        departure="a numerator, and eps inside the root",
    ),
    Entry(
        "adamax",
        "AdaMax",
        "kingma2015",
        "Algorithm 2 of the original, Section 7.1",
        {"m": "EMA of g", "v": "decaying maximum of |g|, squared", "p": "1/2", "correction": "its own"},
        {"m": Slot("m", "exp_avg"), "u": Slot("u", "exp_inf")},
        {"lr": 2e-3, **_BETAS},
        (_M, _U, r"x_{t+1} = x_t - \frac{\alpha_t}{1 - \beta_1^t} \frac{m_t}{u_t}"),
        "torch.optim.Adamax",
        (Oracle("torch.optim.Adamax", _TORCH_ADAM), Oracle("optax.adamax", _OPTAX)),
        corrections=("none",),
        departure="a maximum takes the place of the average, and only m is corrected",
    ),
    Entry(
        "adam",
        "Adam",
        "kingma2015",
        "Algorithm 1 of the original; the paper's Section 2, second displayed equation",
        {**_EMA, "p": "1/2", "correction": "exact"},
        _ADAM_SLOTS,
        {"lr": 1e-3, **_BETAS, "correction": "exact"},
        (_M, _V, r"x_{t+1} = x_t - \alpha_t \frac{m_t}{\sqrt{v_t} + \epsilon_t}"),
        "torch.optim.Adam",
        (Oracle("torch.optim.Adam", _TORCH_ADAM), Oracle("optax.adam", _OPTAX)),
    ),
    Entry(
        "nadam",
        "NAdam",
        "dozat2016",
        "Algorithm 2 of the original, with torch's schedule for the momentum",
        {**_EMA, "m": "EMA of g, Nesterov", "p": "1/2", "correction": "its own"},
        {**_ADAM_SLOTS, "mu_product": Slot(r"\prod \mu", "mu_product", 1.0, "scalar")},
        {"lr": 2e-3, **_BETAS, "momentum_decay": 4e-3},
        (
            r"\mu_t = \beta_1 (1 - \frac{1}{2} 0.96^{\psi t})",
            r"\mu_{t+1} = \beta_1 (1 - \frac{1}{2} 0.96^{\psi (t+1)})",
            _M,
            _V,
            r"n_t = \frac{1 - \mu_t}{1 - \prod_{j=1}^{t} \mu_j} g_t"
            r" + \frac{\mu_{t+1}}{1 - \mu_{t+1} \prod_{j=1}^{t} \mu_j} m_t",
            r"x_{t+1} = x_t - \alpha_t \frac{n_t}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon_t}",
        ),
        "torch.optim.NAdam",
        (
            Oracle(
                "torch.optim.NAdam",
                {**_TORCH_ADAM, "momentum_decay": "momentum_decay"},
                rtol=2e-6,
                why="torch keeps the product of the mu_t in float32",
            ),
        ),
        corrections=("none",),
        departure="looks one step ahead along m, and brings its own corrections",
    ),
    Entry(
        "amsgrad",
        "Amsgrad",
        "reddi2018",
        "Algorithm 2 of the original; the paper's Section 2, third displayed equation",
        {**_EMA, "v": "running maximum of the EMA of g²", "p": "1/2", "correction": "none"},
        _AMSGRAD_SLOTS,
        {"lr": 1e-3, **_BETAS, "correction": "none"},
        (_M, _V, _V_HAT, r"x_{t+1} = x_t - \alpha_t \frac{m_t}{\sqrt{\hat{v}_t} + \epsilon_t}"),
        "padam.AMSGrad",
        (
            Oracle("torch.optim.Adam", {**_TORCH_ADAM, "amsgrad": True}, run={"correction": "exact"}),
            Oracle("optax.amsgrad", {**_OPTAX, "bias_correction_mu": False, "bias_correction_nu": False}),
        ),
    ),
    Entry(
        "padam",
        "Padam",
        "chen2020",
        "Algorithm 1 of the paper",
        {**_EMA, "v": "running maximum of the EMA of g²", "p": "p", "correction": "none"},
        _AMSGRAD_SLOTS,
        {"lr": 0.1, **_BETAS, "p": 1 / 8, "correction": "none"},
        (_M, _V, _V_HAT, r"x_{t+1} = x_t - \alpha_t \frac{m_t}{(\sqrt{\hat{v}_t} + \epsilon_t)^{2p}}"),
        "padam.Padam",
        (
            Oracle("authors' code", {}, run={"correction": "folded"}),
            Oracle("torch.optim.Adam", {**_TORCH_ADAM, "amsgrad": True}, run={"p": 0.5, "correction": "exact"}),
        ),
    ),
    Entry(
        "partial_adagrad",
        "partially adaptive Adagrad",
        "chen2020",
        "the closing remark of the paper's Section 3, not written out there",
        {"m": "g", "v": "sum of g²", "p": "p", "correction": "none"},
        {"v": Slot("v", "sum", "initial_accumulator_value")},
        {"lr": 1e-2, "eps": 1e-10, "p": 1 / 2, "initial_accumulator_value": 0.0},
        (_SUM, r"x_{t+1} = x_t - \alpha_t \frac{g_t}{(\sqrt{v_t} + \epsilon_t)^{2p}}"),
        "padam.PartialAdagrad",
        (Oracle(_PLAIN, {}), Oracle("torch.optim.Adagrad", _TORCH, run={"p": 0.5})),
        corrections=("none",),
    ),
    Entry(
        "partial_rmsprop",
        "partially adaptive RMSprop",
        "chen2020",
        "the closing remark of the paper's Section 3, not written out there",
        {"m": "g", "v": "EMA of g²", "p": "p", "correction": "none"},
        {"v": Slot("v", "square_avg")},
        {"lr": 1e-2, "beta2": 0.99, "eps": 1e-8, "p": 1 / 2},
        (_V, r"x_{t+1} = x_t - \alpha_t \frac{g_t}{(\sqrt{v_t} + \epsilon_t)^{2p}}"),
        "padam.PartialRMSprop",
        (Oracle(_PLAIN, {}), Oracle("torch.optim.RMSprop", {**_TORCH, "alpha": "beta2"}, run={"p": 0.5})),
        torch_names={"beta2": "alpha"},
        corrections=("none",),
    ),
    Entry(
        "partial_adadelta",
        "partially adaptive Adadelta",
        "chen2020",
        "the closing remark of the paper's Section 3, not written out there",
        {"m": "g", "v": "EMA of g²", "p": "p", "correction": "none"},
        {"v": Slot("v", "square_avg"), "u": Slot("u", "acc_delta")},
        {"lr": 1.0, "beta2": 0.9, "eps": 1e-6, "p": 1 / 2},
        (
            _V,
            r"d_t = (\frac{u_{t-1} + \epsilon_t}{v_t + \epsilon_t})^p g_t",
            _D_MEAN,
            r"x_{t+1} = x_t - \alpha_t d_t",
        ),
        "padam.PartialAdadelta",
        (Oracle(_PLAIN, {}), Oracle("torch.optim.Adadelta", {**_TORCH, "rho": "beta2"}, run={"p": 0.5})),
        torch_names={"beta2": "rho"},
        corrections=("none",),
        departure="a numerator, and eps inside the root",
    ),
    Entry(
        "partial_adamax",
        "partially adaptive AdaMax",
        "chen2020",
        "the closing remark of the paper's Section 3, not written out there",
        {"m": "EMA of g", "v": "decaying maximum of |g|, squared", "p": "p", "correction": "its own"},
        {"m": Slot("m", "exp_avg"), "u": Slot("u", "exp_inf")},
        {"lr": 2e-3, **_BETAS, "p": 1 / 2},
        (_M, _U, r"x_{t+1} = x_t - \frac{\alpha_t}{1 - \beta_1^t} \frac{m_t}{u_t^{2p}}"),
        "padam.PartialAdamax",
        (Oracle(_PLAIN, {}), Oracle("torch.optim.Adamax", _TORCH_ADAM, run={"p": 0.5})),
        corrections=("none",),
        departure="a maximum takes the place of the average, and only m is corrected",
    ),
    Entry(
        "adamw",
        "AdamW",
        "loshchilov2019",
        "Algorithm 2 of the original, without its schedule multiplier",
        {**_EMA, "p": "1/2", "correction": "exact"},
        _ADAM_SLOTS,
        {"lr": 1e-3, **_BETAS, "correction": "exact", "weight_decay": 1e-2, "decay": "decoupled"},
        (
            _M,
            _V,
            DECAYS["decoupled"][0],
            r"x_{t+1} = \tilde{x}_t - \alpha_t \frac{m_t}{\sqrt{v_t} + \epsilon_t}",
        ),
        "torch.optim.AdamW",
        (
            Oracle("torch.optim.AdamW", _TORCH_ADAM),
            Oracle("optax.adamw", {**_OPTAX, "weight_decay": "weight_decay"}),
        ),
    ),
    Entry(
        "yogi",
        "Yogi",
        "zaheer2018",
        "Algorithm 2 of the original, with Adam's correction as optax has it",
        {**_EMA, "v": "moves by at most (1 - β₂) g²", "p": "1/2", "correction": "exact"},
        {"m": Slot("m", "exp_avg"), "v": Slot("v", "exp_avg_sq", "initial_accumulator")},
        {"lr": 1e-2, **_BETAS, "eps": 1e-3, "initial_accumulator": 1e-6, "correction": "exact"},
        (
            _M,
            r"v_t = v_{t-1} - (1 - \beta_2) \operatorname{sign}(v_{t-1} - g_t^2) g_t^2",
            r"x_{t+1} = x_t - \alpha_t \frac{m_t}{\sqrt{v_t} + \epsilon_t}",
        ),
        "padam.Yogi",
        (
            Oracle(
                "optax.yogi",
                _OPTAX,
                start={"mu": 0.0},
                why="float64 rounding; optax starts m at 1e-6 too, so its m is set to 0 first",
            ),
        ),
    ),
    Entry(
        "adabound",
        "AdaBound",
        "luo2019",
        "Algorithm 2 of the original, with the constants and the correction of its code",
        {**_EMA, "p": "1/2, clipped", "correction": "folded"},
        _ADAM_SLOTS,
        {"lr": 1e-3, **_BETAS, "final_lr": 0.1, "gamma": 1e-3, "correction": "folded"},
        (
            _M,
            _V,
            r"l_t = \eta_t (1 - \frac{1}{\gamma t + 1})",
            r"u_t = \eta_t (1 + \frac{1}{\gamma t})",
            r"x_{t+1} = x_t - \min(\max(\frac{\alpha_t}{\sqrt{v_t} + \epsilon_t}, l_t), u_t) m_t",
        ),
        "padam.AdaBound",
        (
            Oracle(
                "adabound.AdaBound",
                {**_TORCH_ADAM, "final_lr": "final_lr", "gamma": "gamma"},
            ),
        ),
        departure="the effective rate is clipped between two bounds that close on final_lr",
    ),
)

CATALOG = {entry.name: entry for entry in _ENTRIES}


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
