"""Formulas in the prose of pages and chapters -> the same in Python.

`test_formulas.py` evaluates the LaTeX and compares; both sides of an equation must have the value. A formula on a page
that is neither here nor in the catalog fails, and so does one here that no page shows. Names: alpha, beta_1, beta_2, p,
g, t, epsilon, c_1, c_2, a, b, x, beta, and with a step m_t, v_t, hatv_t, alpha_t, epsilon_t, g_t.
"""

PROSE = {
    # notation
    r"1 - \beta_1^t": "1 - beta_1**t",
    r"1 - \beta_2^t": "1 - beta_2**t",
    r"\alpha_t / (\sqrt{\hat{v}_t} + \epsilon_t)^{2p}": "alpha_t / (hatv_t**0.5 + epsilon_t) ** (2 * p)",
    r"\alpha_t / \hat{v}_t^{p}": "alpha_t / hatv_t**p",
    # glossary
    r"1 - \beta": "1 - beta",
    r"1 / (1 - \beta)": "1 / (1 - beta)",
    r"\lambda x": "lambda_ * x",
    # Gradient descent and momentum
    r"\frac{a}{2} x^2": "a / 2 * x**2",
    r"a x": "a * x",
    r"x - \alpha a x = (1 - \alpha a) x": "x - alpha * a * x",
    r"1 - 25 \alpha": "1 - 25 * alpha",
    r"1 - \alpha": "1 - alpha",
    r"2 / a": "2 / a",
    r"2 / (a + b)": "2 / (a + b)",
    r"(a - b) / (a + b)": "(a - b) / (a + b)",
    r"\alpha / (1 - \beta)": "alpha / (1 - beta)",
    r"2 (1 + \beta) / a": "(2 + 2 * beta) / a",
    # Adagrad
    r"1/\sqrt{t}": "t**-0.5",
    r"1/t": "1 / t",
    r"\alpha/\sqrt{t}": "alpha / t**0.5",
    r"\sqrt{t}": "t**0.5",
    r"t^{p - 1/2}": "t ** (p - 0.5)",
    r"\log(1000) \approx 6.9": "log(1000)",
    # Adam
    r"1 - \beta_1": "1 - beta_1",
    r"1 - \beta_2": "1 - beta_2",
    r"1 / (1 - \beta_2)": "1 / (1 - beta_2)",
    r"m_1 / \sqrt{v_1}": "series['m'][1] / series['v'][1] ** 0.5",
    r"(1 - \beta_1) \sum_{j=1}^{t} \beta_1^{j-1} = 1 - \beta_1^t": "sum((1 - beta_1) * beta_1**j for j in (0, 1, 2))",
    r"\beta_1^t": "beta_1**t",
    r"(1 - \beta_1^t) g": "g - beta_1**t * g",
    r"(1 - \beta_2^t) g^2": "(1 - beta_2**t) * g * g",
    r"(1 - \beta_1) g": "g - beta_1 * g",
    r"(1 - \beta_2) g^2": "g * g - beta_2 * g * g",
    r"m_t / c_1": "m_t / (1 - beta_1**t)",
    r"v_t / c_2": "v_t / (1 - beta_2**t)",
    r"\sqrt{v_t / c_2}": "(v_t / (1 - beta_2**t)) ** 0.5",
    r"\sqrt{c_2}": "(1 - beta_2**t) ** 0.5",
    r"c_2^p": "(1 - beta_2**t) ** p",
    r"\sqrt{v_t}": "v_t**0.5",
    r"\sqrt{v}": "v**0.5",
    r"\sqrt{\beta_2}": "beta_2**0.5",
    r"\frac{\alpha}{\epsilon} m_t": "m_t * alpha / epsilon",
    r"\alpha / \epsilon": "alpha / epsilon",
    r"x^2 / 2": "x * x / 2",
    r"1 - \beta^t": "1 - beta**t",
    r"\log(10)": "log(10)",
    r"\log(10) \approx 2.3": "log(10)",
    # Padam
    r"(\sqrt{\hat{v}_t})^{2p}": "hatv_t**p",
    r"(b / a)^p": "(b / a) ** p",
    r"\hat{v}_t^{p}": "hatv_t**p",
    r"\sqrt{\hat{v}_t}": "hatv_t**0.5",
    r"1/\hat{v}^{p}": "hatv**-p",
    r"c_1 = 1 - \beta_1^t": "1 - beta_1**t",
    r"c_2 = 1 - \beta_2^t": "1 - beta_2**t",
    r"\sqrt{c_2}/c_1": "(1 - beta_2**t) ** 0.5 / (1 - beta_1**t)",
    r"c_2^{1/2-p}": "(1 - beta_2**t) ** (0.5 - p)",
    r"\alpha (1 - \beta_1)": "alpha - alpha * beta_1",
    r"(10^{-8})^{1/4} = 0.01": "0.01",
    r"100 / 100^{2p} = 100^{1 - 2p}": "100 ** (1 - 2 * p)",
    r"m_1 = (1 - \beta_1) g": "g - beta_1 * g",
    r"\hat{v}_1 = (1 - \beta_2) g^2": "g * g - beta_2 * g * g",
    r"\alpha (1 - \beta_1) g / ((1 - \beta_2)^p |g|^{2p})": (
        "alpha * (1 - beta_1) * g * ((1 - beta_2) ** p * abs(g) ** (2 * p)) ** -1"
    ),
    r"\alpha (1 - \beta_1) / \sqrt{1 - \beta_2}": "alpha * (1 - beta_1) * (1 - beta_2) ** -0.5",
    r"0.1 / \sqrt{0.001} \approx 3.16": "0.1 / 0.001**0.5",
}
