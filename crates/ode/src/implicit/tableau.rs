//! Singly diagonally implicit Runge–Kutta methods with an explicit first stage: one constant each.

/// Stages `k₁ = f(t, y)`, `kᵢ = f(t + cᵢ h, y + h Σ_{j<i} aᵢⱼ kⱼ + h γ kᵢ)` for `i ≥ 2`, of which the
/// last is at the end of the step: all are stiffly accurate, `k_s = f(t + h, y₁)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImplicitTableau {
    /// Its name in configurations.
    pub name: &'static str,
    /// Order of the solution that is advanced.
    pub order: u32,
    /// `γ`.
    pub diagonal: f64,
    /// Times `cᵢ` of the second and later stages.
    pub nodes: &'static [f64],
    /// Rows `aᵢ` of the second and later stages, below the diagonal.
    pub matrix: &'static [&'static [f64]],
    /// Weights of the solution, over all stages.
    pub weights: &'static [f64],
    /// Weights of the error estimate, over all stages.
    pub error: &'static [f64],
    /// The power of `h` to which the estimate is proportional.
    pub power: u32,
}

/// The implicit Euler method, of order 1, L-stable; its error estimate is the difference to the
/// trapezoid.
pub const IMPLICIT_EULER: ImplicitTableau = ImplicitTableau {
    name: "implicit_euler",
    order: 1,
    diagonal: 1.0,
    nodes: &[1.0],
    matrix: &[&[0.0]],
    weights: &[0.0, 1.0],
    error: &[-0.5, 0.5],
    power: 2,
};

/// The trapezoid, of order 2, A-stable; its error estimate is the difference to the implicit Euler
/// method, so that steps are smaller than they need be (Crank and Nicolson 1947, "A practical method
/// for numerical evaluation of solutions of partial differential equations of the heat-conduction
/// type").
pub const TRAPEZOID: ImplicitTableau = ImplicitTableau {
    name: "trapezoid",
    order: 2,
    diagonal: 0.5,
    nodes: &[1.0],
    matrix: &[&[0.5]],
    weights: &[0.5, 0.5],
    error: &[0.5, -0.5],
    power: 2,
};

const GAMMA: f64 = 0.435_866_521_5;

/// The pair 3(2) of Kværnø, A- and L-stable (Kværnø 2004, "Singly diagonally implicit Runge–Kutta
/// methods with an explicit first stage", method 3/2a).
pub const KVAERNO3: ImplicitTableau = ImplicitTableau {
    name: "kvaerno3",
    order: 3,
    diagonal: GAMMA,
    nodes: &[2.0 * GAMMA, 1.0, 1.0],
    matrix: &[
        &[GAMMA],
        &[
            (-4.0 * GAMMA * GAMMA + 6.0 * GAMMA - 1.0) / (4.0 * GAMMA),
            (1.0 - 2.0 * GAMMA) / (4.0 * GAMMA),
        ],
        &[A41, A42, A43],
    ],
    weights: &[A41, A42, A43, GAMMA],
    error: &[
        A41 - (-4.0 * GAMMA * GAMMA + 6.0 * GAMMA - 1.0) / (4.0 * GAMMA),
        A42 - (1.0 - 2.0 * GAMMA) / (4.0 * GAMMA),
        A43 - GAMMA,
        GAMMA,
    ],
    power: 3,
};

const A41: f64 = (6.0 * GAMMA - 1.0) / (12.0 * GAMMA);
const A42: f64 = -1.0 / ((24.0 * GAMMA - 12.0) * GAMMA);
const A43: f64 = (-6.0 * GAMMA * GAMMA + 6.0 * GAMMA - 1.0) / (6.0 * GAMMA - 3.0);

/// The pair 5(4) of Kværnø, A- and L-stable (Kværnø 2004, as above, method 5/4a).
pub const KVAERNO5: ImplicitTableau = ImplicitTableau {
    name: "kvaerno5",
    order: 5,
    diagonal: 0.26,
    nodes: &[
        0.52,
        1.230_333_209_967_908,
        0.895_765_984_350_075_9,
        0.436_393_609_858_647_56,
        1.0,
        1.0,
    ],
    matrix: &[
        &[0.26],
        &[0.13, 0.840_333_209_967_908_1],
        &[0.223_719_614_783_205_04, 0.476_755_323_197_997, -0.064_708_953_631_126_15],
        &[
            0.166_485_643_232_483_22,
            0.104_500_188_415_917_2,
            0.036_314_822_720_987_15,
            -0.130_907_044_510_739_98,
        ],
        &[
            0.138_556_402_312_682_24,
            0.0,
            -0.042_453_372_017_520_43,
            0.024_466_578_980_031_41,
            0.619_430_390_724_806_8,
        ],
        &[
            0.136_597_511_776_402_92,
            0.0,
            -0.054_969_087_965_383_76,
            -0.041_186_267_283_210_46,
            0.629_933_048_990_164,
            0.069_624_794_482_027_28,
        ],
    ],
    weights: &[
        0.136_597_511_776_402_92,
        0.0,
        -0.054_969_087_965_383_76,
        -0.041_186_267_283_210_46,
        0.629_933_048_990_164,
        0.069_624_794_482_027_28,
        0.26,
    ],
    error: &[
        -0.001_958_890_536_279_317_4,
        0.0,
        -0.012_515_715_947_863_326,
        -0.065_652_846_263_241_87,
        0.010_502_658_265_357_234,
        -0.190_375_205_517_972_7,
        0.26,
    ],
    power: 5,
};
