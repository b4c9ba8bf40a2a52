//! The law of an Ornstein–Uhlenbeck process between two known states.

/// Coefficients of a state at an earlier time `s`, given that at `t` and the data at time 0, all
/// less the process's mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Posterior {
    /// Weight of the state at `t`.
    pub state: f64,
    /// Weight of the data.
    pub data: f64,
    /// Standard deviation in units of the stationary one.
    pub std: f64,
}

/// For a process with `E[Y_t | Y_0] = B Y_0` and variance `λ² (1 − B²)`, and `C` in place of `B` at
/// `s < t`: with `A = B/C`, `Y_s | Y_t, Y_0` is normal with mean
/// `A (1 − C²)/(1 − B²) Y_t + C (1 − A²)/(1 − B²) Y_0` and variance
/// `λ² (1 − A²)(1 − C²)/(1 − B²)`.
///
/// `log_b` and `log_c` are `ln B` and `ln C`, at most 0; at `s = 0` the state is the data, exactly.
///
/// ```
/// use maxlik_ode::sde::posterior;
/// let exact = posterior(-0.5, 0.0);
/// assert_eq!((exact.state, exact.data, exact.std), (0.0, 1.0, 0.0));
/// ```
#[must_use]
pub fn posterior(log_b: f64, log_c: f64) -> Posterior {
    // 1 − x² of x = e^l, without loss of digits for small l.
    let rest = |log: f64| -(2.0 * log).exp_m1();
    let (a, b, c) = (rest(log_b - log_c), rest(log_b), rest(log_c));
    if b <= 0.0 {
        return Posterior { state: 1.0, data: 0.0, std: 0.0 };
    }
    Posterior {
        state: (log_b - log_c).exp() * c / b,
        data: log_c.exp() * a / b,
        std: (a * c / b).max(0.0).sqrt(),
    }
}
