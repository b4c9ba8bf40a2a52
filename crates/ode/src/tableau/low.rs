//! Methods of order one to four.

use super::{Dense, Estimate, Tableau};

/// Euler's method, of order 1 (Euler 1768, "Institutiones calculi integralis").
pub const EULER: Tableau = Tableau {
    name: "euler",
    order: 1,
    nodes: &[0.0],
    matrix: &[],
    weights: &[1.0],
    error: Estimate::None,
    dense: Dense::Hermite,
};

/// The midpoint rule, of order 2, with Euler's method as its pair (Runge 1895, "Ueber die numerische
/// Auflösung von Differentialgleichungen").
pub const MIDPOINT: Tableau = Tableau {
    name: "midpoint",
    order: 2,
    nodes: &[0.0, 0.5],
    matrix: &[&[0.5]],
    weights: &[0.0, 1.0],
    error: Estimate::Embedded { weights: &[-1.0, 1.0], power: 2 },
    dense: Dense::Hermite,
};

/// Heun's method (the explicit trapezoid), of order 2, with Euler's method as its pair (Heun 1900,
/// "Neue Methoden zur approximativen Integration der Differentialgleichungen").
pub const HEUN: Tableau = Tableau {
    name: "heun",
    order: 2,
    nodes: &[0.0, 1.0],
    matrix: &[&[1.0]],
    weights: &[0.5, 0.5],
    error: Estimate::Embedded { weights: &[-0.5, 0.5], power: 2 },
    dense: Dense::Hermite,
};

/// Ralston's method of order 2 with the least bound on its local error, with Euler's method as its
/// pair (Ralston 1962, "Runge–Kutta methods with minimum error bounds", eq. 3.9).
pub const RALSTON: Tableau = Tableau {
    name: "ralston",
    order: 2,
    nodes: &[0.0, 2.0 / 3.0],
    matrix: &[&[2.0 / 3.0]],
    weights: &[0.25, 0.75],
    error: Estimate::Embedded { weights: &[-0.75, 0.75], power: 2 },
    dense: Dense::Hermite,
};

/// The pair 3(2) of Bogacki and Shampine (1989, "A 3(2) pair of Runge–Kutta formulas").
pub const BOSH3: Tableau = Tableau {
    name: "bosh3",
    order: 3,
    nodes: &[0.0, 0.5, 0.75, 1.0],
    matrix: &[&[0.5], &[0.0, 0.75], &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0]],
    weights: &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0, 0.0],
    error: Estimate::Embedded {
        weights: &[-5.0 / 72.0, 1.0 / 12.0, 1.0 / 9.0, -1.0 / 8.0],
        power: 3,
    },
    dense: Dense::Hermite,
};

/// The classic method of order 4 (Kutta 1901, "Beitrag zur näherungsweisen Integration totaler
/// Differentialgleichungen").
pub const RK4: Tableau = Tableau {
    name: "rk4",
    order: 4,
    nodes: &[0.0, 0.5, 0.5, 1.0],
    matrix: &[&[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0]],
    weights: &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
    error: Estimate::None,
    dense: Dense::Hermite,
};

/// The 3/8 rule, of order 4 (Kutta 1901, as above).
pub const RK4_38: Tableau = Tableau {
    name: "rk4_38",
    order: 4,
    nodes: &[0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0],
    matrix: &[&[1.0 / 3.0], &[-1.0 / 3.0, 1.0], &[1.0, -1.0, 1.0]],
    weights: &[0.125, 0.375, 0.375, 0.125],
    error: Estimate::None,
    dense: Dense::Hermite,
};
