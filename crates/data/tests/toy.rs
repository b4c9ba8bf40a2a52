use maxlik_data::Stream;
use maxlik_data::toy::{Bounds, Toy, ToyDensity};
use proptest::prelude::*;
use std::f64::consts::{PI, TAU};

/// A multiple of 12 for which edges of the checkerboard are edges of cells.
const CELLS: usize = 216;

/// The plot's box made larger, except where edges of the density have to meet edges of cells.
fn wide(toy: Toy) -> Bounds {
    let factor = if toy == Toy::Checkerboard { 1.0 } else { 1.6 };
    let grow = |[low, high]: [f64; 2]| {
        let (centre, half) = (0.5 * (low + high), 0.5 * factor * (high - low));
        [centre - half, centre + half]
    };
    let bounds = toy.bounds();
    Bounds { x: grow(bounds.x), y: grow(bounds.y) }
}

fn log_densities(toy: Toy, bounds: Bounds) -> (Vec<f64>, f64) {
    let grid = bounds.grid(CELLS, CELLS);
    let rows = grid.points.rows();
    let values = rows.into_iter().map(|x| toy.log_density_at([x[0], x[1]]));
    (values.collect(), grid.cell_area)
}

/// The midpoint rule converges faster than any power here: the densities are smooth and vanish at
/// the edges of the box.
#[test]
fn densities_integrate_to_one_and_have_their_entropy() {
    for toy in Toy::ALL {
        let (logs, area) = log_densities(toy, wide(toy));
        let mass: f64 = logs.iter().map(|l| l.exp()).sum::<f64>() * area;
        assert!((mass - 1.0).abs() < 2e-5, "{toy}: mass {mass}");
        let finite = logs.iter().filter(|l| l.is_finite());
        let entropy = -finite.map(|l| l * l.exp()).sum::<f64>() * area;
        let error = entropy - toy.entropy();
        assert!(error.abs() < 3e-4, "{toy}: {entropy} and {}", toy.entropy());
        // Banana's tail leaves the box; the others fit.
        assert!(error.abs() < 1e-7 || toy == Toy::Banana, "{toy}: {error}");
    }
}

#[test]
fn boxes_hold_all_but_a_thousandth() {
    for toy in Toy::ALL {
        let (logs, area) = log_densities(toy, toy.bounds());
        let mass: f64 = logs.iter().map(|l| l.exp()).sum::<f64>() * area;
        assert!((0.999..1.0 + 1e-9).contains(&mass), "{toy}: {mass}");
    }
}

#[test]
fn samples_have_the_entropy() {
    for toy in Toy::ALL {
        let n = 20_000;
        let x = toy.sample(n, &mut Stream::new(1, toy.name()).rng(0));
        let nll = -toy.log_density(x.view()).unwrap();
        let mean = nll.mean().unwrap();
        let error = nll.std(1.0) / (n as f64).sqrt();
        let off = (mean - toy.entropy()).abs();
        assert!(off <= 4.0 * error + 1e-12, "{toy}: {mean}, {}", toy.entropy());
    }
}

/// Chi-square of 12 × 12 cells against the integral of the density over each.
#[test]
fn samples_fill_the_cells_as_the_density_says() {
    const SIDE: usize = 12;
    for toy in Toy::ALL {
        let bounds = toy.bounds();
        let (logs, area) = log_densities(toy, bounds);
        let mut expected = [0.0; SIDE * SIDE];
        for (i, log) in logs.iter().enumerate() {
            let (column, row) = (i % CELLS, i / CELLS);
            let cell = row * SIDE / CELLS * SIDE + column * SIDE / CELLS;
            expected[cell] += log.exp() * area;
        }
        let n = 20_000;
        let mut counts = [0.0; SIDE * SIDE];
        let place = |v: f64, [low, high]: [f64; 2]| {
            let cell = (v - low) / (high - low) * SIDE as f64;
            (0.0..SIDE as f64).contains(&cell).then_some(cell as usize)
        };
        let samples = toy.sample(n, &mut Stream::new(2, toy.name()).rng(0));
        for row in samples.rows() {
            if let (Some(c), Some(r)) = (place(row[0], bounds.x), place(row[1], bounds.y)) {
                counts[r * SIDE + c] += 1.0;
            }
        }
        let (mut chi, mut cells) = (0.0, 0.0);
        for (count, share) in counts.iter().zip(expected) {
            let expected = share * n as f64;
            if expected >= 5.0 {
                chi += (count - expected).powi(2) / expected;
                cells += 1.0;
            } else {
                assert!(*count < 25.0, "{toy}: {count} where {expected} are expected");
            }
        }
        let z = (chi - cells) / (2.0_f64 * cells).sqrt();
        assert!(cells > 10.0 && z < 4.0, "{toy}: chi-square {chi} in {cells} cells");
    }
}

/// `ln Σ_c ∫ w(t) N(x; c(t), sd² I) dt` by Simpson's rule with very many nodes.
fn simpson(
    x: [f64; 2],
    sd: f64,
    [a, b]: [f64; 2],
    place: &dyn Fn(f64) -> [f64; 2],
    weight: &dyn Fn(f64) -> f64,
) -> f64 {
    const N: usize = 40_000;
    let step = (b - a) / N as f64;
    let terms: Vec<f64> = (0..=N)
        .map(|i| {
            let t = a + step * i as f64;
            let c = place(t);
            let square = (x[0] - c[0]).powi(2) + (x[1] - c[1]).powi(2);
            let rule = match i {
                0 | N => 1.0,
                _ if i % 2 == 1 => 4.0,
                _ => 2.0,
            };
            (rule * step / 3.0 * weight(t)).ln() - 0.5 * square / (sd * sd)
        })
        .collect();
    log_sum_exp(&terms) - (TAU * sd * sd).ln()
}

fn log_sum_exp(terms: &[f64]) -> f64 {
    let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + terms.iter().map(|t| (t - largest).exp()).sum::<f64>().ln()
}

/// Places on, near and far from the curves, corners of the box among them.
fn places(toy: Toy) -> Vec<[f64; 2]> {
    let b = toy.bounds();
    let mut places = vec![
        [b.x[0], b.y[0]],
        [b.x[0], b.y[1]],
        [b.x[1], b.y[0]],
        [b.x[1], b.y[1]],
        [0.0, 0.0],
        [1.0, -0.5],
        [-1.0, 1.5],
    ];
    let samples = toy.sample(8, &mut Stream::new(3, "places").rng(0));
    places.extend(samples.rows().into_iter().map(|r| [r[0], r[1]]));
    places
}

#[track_caller]
fn check_curve(toy: Toy, exact: impl Fn([f64; 2]) -> f64) {
    for x in places(toy) {
        let (got, expected) = (toy.log_density_at(x), exact(x));
        let error = (got - expected).abs();
        assert!(error < 1e-9 * (1.0 + expected.abs()), "{toy} at {x:?}: {got}, {expected}");
    }
}

#[test]
fn moons_are_exact() {
    let arc = |t: f64| [2.0 * t.cos() - 1.0, 2.0 * t.sin() - 0.5];
    check_curve(Toy::Moons, |[x, y]| {
        let part = |x| simpson(x, 0.2, [0.0, PI], &arc, &|_| 0.5 / PI);
        log_sum_exp(&[part([x, y]), part([-x, -y])])
    });
}

#[test]
fn spirals_are_exact() {
    let arm = |t: f64| [-t / 3.0 * t.cos(), t / 3.0 * t.sin()];
    check_curve(Toy::Spirals, |[x, y]| {
        let weight = |t: f64| t / (9.0 * PI * PI);
        let part = |x| simpson(x, 0.1, [0.0, 3.0 * PI], &arm, &weight);
        log_sum_exp(&[part([x, y]), part([-x, -y])])
    });
}

#[test]
fn swiss_roll_is_exact() {
    let roll = |t: f64| [t / 5.0 * t.cos(), t / 5.0 * t.sin()];
    check_curve(Toy::SwissRoll, |x| {
        simpson(x, 0.2, [1.5 * PI, 4.5 * PI], &roll, &|_| 1.0 / (3.0 * PI))
    });
}

#[test]
fn s_curve_is_exact() {
    let letter = |t: f64| [2.0 * t.sin(), 2.0 * t.signum() * (t.cos() - 1.0)];
    check_curve(Toy::SCurve, |[x, y]| {
        let part = |x| simpson(x, 0.2, [0.0, 1.5 * PI], &letter, &|_| 1.0 / (3.0 * PI));
        log_sum_exp(&[part([x, y]), part([-x, -y])])
    });
}

#[test]
fn rings_are_exact() {
    check_curve(Toy::Rings, |x| {
        let ring = |k: usize| {
            let rho = 0.75 * k as f64;
            let circle = move |t: f64| [rho * t.cos(), rho * t.sin()];
            simpson(x, 0.15, [0.0, TAU], &circle, &|_| 0.25 / TAU)
        };
        log_sum_exp(&[ring(1), ring(2), ring(3), ring(4)])
    });
}

#[test]
fn names_are_read_and_written() {
    for toy in Toy::ALL {
        assert_eq!(toy.to_string().parse::<Toy>().unwrap(), toy);
    }
    assert_eq!("Eight_Gaussians".parse::<Toy>().unwrap(), Toy::EightGaussians);
    let error = "moon".parse::<Toy>().unwrap_err().to_string();
    assert!(error.contains("`moon` is not known") && error.contains("`moons`"), "{error}");
}

#[test]
fn a_data_set_is_a_function_of_its_seed() {
    let data = Toy::Moons.dataset::<f32>(50, 7).unwrap();
    assert_eq!((data.len(), data.dims(), data.name()), (50, 2, "moons"));
    assert_eq!(data, Toy::Moons.dataset::<f32>(50, 7).unwrap());
    assert_ne!(data, Toy::Moons.dataset::<f32>(50, 8).unwrap());
    assert!(Toy::Moons.log_density(ndarray::Array2::zeros((3, 3)).view()).is_err());
}

#[test]
fn grids_run_along_x_first() {
    let bounds = Bounds { x: [0.0, 4.0], y: [10.0, 14.0] };
    let grid = bounds.grid(4, 2);
    assert_eq!(grid.points.dim(), (8, 2));
    assert_eq!(grid.points.row(0).to_vec(), [0.5, 11.0]);
    assert_eq!(grid.points.row(1).to_vec(), [1.5, 11.0]);
    assert_eq!(grid.points.row(7).to_vec(), [3.5, 13.0]);
    assert_eq!(grid.cell_area, 2.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn log_densities_are_numbers_far_out(x in -1e4_f64..1e4, y in -1e4_f64..1e4) {
        for toy in Toy::ALL {
            let log = toy.log_density_at([x, y]);
            prop_assert!(!log.is_nan() && log < 10.0, "{} {}", toy, log);
            prop_assert!(log.is_finite() || toy == Toy::Checkerboard, "{} {}", toy, log);
        }
    }

    #[test]
    fn symmetries_hold(x in -4.0_f64..4.0, y in -4.0_f64..4.0, angle in 0.0_f64..TAU) {
        for toy in [Toy::Moons, Toy::Spirals] {
            let (a, b) = (toy.log_density_at([x, y]), toy.log_density_at([-x, -y]));
            prop_assert!((a - b).abs() < 1e-9 * (1.0 + a.abs()));
        }
        let (sin, cos) = angle.sin_cos();
        let turned = [cos * x - sin * y, sin * x + cos * y];
        for toy in [Toy::Rings, Toy::Normal] {
            let (a, b) = (toy.log_density_at([x, y]), toy.log_density_at(turned));
            prop_assert!((a - b).abs() < 1e-9 * (1.0 + a.abs()));
        }
    }
}

/// The table of docs/data.md holds every density with its entropy.
#[test]
fn the_docs_state_the_entropies() {
    let page = include_str!("../../../docs/data.md");
    for toy in Toy::ALL {
        let start = format!("| `{toy}` |");
        let row = page.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("{toy} is not in docs/data.md"));
        let stated: f64 = row.split('|').nth(3).unwrap().trim().parse().unwrap();
        let entropy = toy.entropy();
        assert!((stated - entropy).abs() < 1e-10, "{toy}: {stated} and {entropy:.10}");
    }
}
