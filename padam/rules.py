"""Every optimizer of the book as one pure rule, in the order of the paper.

rule(g, s, h) -> (step, new_state): g is the gradient, s the state (s.m, s.v, ... arrays shaped like g),
h the settings; the iterate moves by x <- x - step. h.lr and h.eps are alpha_t and eps_t, already
corrected, and weight decay is already in g: both live outside the rules (`reference.py`).
"""

from types import SimpleNamespace as State

from numpy import maximum, minimum, sign, sqrt


def sgdm(g, s, h):
    m = h.momentum * s.m + g  # m_t, heavy ball as torch writes it
    return h.lr * m, State(m=m)


def sgdm_ema(g, s, h):
    m = h.beta1 * s.m + (1 - h.beta1) * g  # m_t, as footnote 3 of the paper has it
    return h.lr * m, State(m=m)


def adagrad(g, s, h):
    v = s.v + g**2  # sum of g_j^2
    return h.lr * g / (sqrt(v) + h.eps), State(v=v)


def adagrad_mean(g, s, h):
    v = s.v + (g**2 - s.v) / h.t  # v_t, the mean of g_j^2 (Section 2)
    return h.lr / sqrt(h.t) * g / (sqrt(v) + h.eps), State(v=v)


def rmsprop(g, s, h):
    v = h.beta2 * s.v + (1 - h.beta2) * g**2  # v_t
    return h.lr * g / (sqrt(v) + h.eps), State(v=v)


def adadelta(g, s, h):
    v = h.beta2 * s.v + (1 - h.beta2) * g**2  # v_t
    d = sqrt((s.u + h.eps) / (v + h.eps)) * g  # d_t, in the units of x
    u = h.beta2 * s.u + (1 - h.beta2) * d**2  # u_t, mean square of the steps
    return h.lr * d, State(v=v, u=u)


def adamax(g, s, h):
    m = h.beta1 * s.m + (1 - h.beta1) * g  # m_t
    u = maximum(h.beta2 * s.u, abs(g) + h.eps)  # u_t, a decaying maximum
    return h.lr / h.c1 * m / u, State(m=m, u=u)


def adam(g, s, h):
    m = h.beta1 * s.m + (1 - h.beta1) * g  # m_t
    v = h.beta2 * s.v + (1 - h.beta2) * g**2  # v_t
    return h.lr * m / (sqrt(v) + h.eps), State(m=m, v=v)


def nadam(g, s, h):
    m = h.beta1 * s.m + (1 - h.beta1) * g  # m_t
    v = h.beta2 * s.v + (1 - h.beta2) * g**2  # v_t
    mu = h.beta1 * (1 - 0.5 * 0.96 ** (h.momentum_decay * h.t))  # mu_t
    mu_next = h.beta1 * (1 - 0.5 * 0.96 ** (h.momentum_decay * (h.t + 1)))  # mu_{t+1}
    mu_product = s.mu_product * mu  # mu_1 ... mu_t
    nesterov = (1 - mu) / (1 - mu_product) * g + mu_next / (1 - mu_product * mu_next) * m
    return h.lr * nesterov / (sqrt(v / h.c2) + h.eps), State(m=m, v=v, mu_product=mu_product)


def amsgrad(g, s, h):
    m = h.beta1 * s.m + (1 - h.beta1) * g  # m_t
    v = h.beta2 * s.v + (1 - h.beta2) * g**2  # v_t
    v_hat = maximum(s.v_hat, v)  # v_hat_t
    return h.lr * m / (sqrt(v_hat) + h.eps), State(m=m, v=v, v_hat=v_hat)


def padam(g, s, h):
    m = h.beta1 * s.m + (1 - h.beta1) * g  # m_t
    v = h.beta2 * s.v + (1 - h.beta2) * g**2  # v_t
    v_hat = maximum(s.v_hat, v)  # v_hat_t
    return h.lr * m / (sqrt(v_hat) + h.eps) ** (2 * h.p), State(m=m, v=v, v_hat=v_hat)


def partial_adagrad(g, s, h):
    v = s.v + g**2  # sum of g_j^2
    return h.lr * g / (sqrt(v) + h.eps) ** (2 * h.p), State(v=v)


def partial_rmsprop(g, s, h):
    v = h.beta2 * s.v + (1 - h.beta2) * g**2  # v_t
    return h.lr * g / (sqrt(v) + h.eps) ** (2 * h.p), State(v=v)


def partial_adadelta(g, s, h):
    v = h.beta2 * s.v + (1 - h.beta2) * g**2  # v_t
    d = ((s.u + h.eps) / (v + h.eps)) ** h.p * g  # d_t
    u = h.beta2 * s.u + (1 - h.beta2) * d**2  # u_t, mean square of the steps
    return h.lr * d, State(v=v, u=u)


def partial_adamax(g, s, h):
    m = h.beta1 * s.m + (1 - h.beta1) * g  # m_t
    u = maximum(h.beta2 * s.u, abs(g) + h.eps)  # u_t, a decaying maximum
    return h.lr / h.c1 * m / u ** (2 * h.p), State(m=m, u=u)


def adamw(g, s, h):
    return adam(g, s, h)  # Adam: what is new, decoupled weight decay, happens outside the rule


def yogi(g, s, h):
    m = h.beta1 * s.m + (1 - h.beta1) * g  # m_t
    v = s.v - (1 - h.beta2) * sign(s.v - g**2) * g**2  # v_t, moves by at most (1 - beta2) g_t^2
    return h.lr * m / (sqrt(v) + h.eps), State(m=m, v=v)


def adabound(g, s, h):
    m = h.beta1 * s.m + (1 - h.beta1) * g  # m_t
    v = h.beta2 * s.v + (1 - h.beta2) * g**2  # v_t
    lower = h.final_lr * (1 - 1 / (h.gamma * h.t + 1))  # eta_l(t)
    upper = h.final_lr * (1 + 1 / (h.gamma * h.t))  # eta_u(t)
    return minimum(maximum(h.lr / (sqrt(v) + h.eps), lower), upper) * m, State(m=m, v=v)
