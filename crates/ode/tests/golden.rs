//! Fixed steps against diffrax and torchdiffeq (`golden/generate.py` made the numbers).

use crate::order::ALL;
use crate::problems::{ones, smooth};
use crate::vector;
use maxlik_ode::implicit::{IMPLICIT_EULER, KVAERNO3, KVAERNO5};
use maxlik_ode::{Implicit, Solver, Stepper};
use serde_json::Value;

fn stepper(name: &str) -> Box<dyn Stepper> {
    if let Some(tableau) = ALL.iter().find(|t| t.name == name) {
        return (*tableau).into();
    }
    let implicit = [IMPLICIT_EULER, KVAERNO3, KVAERNO5];
    let tableau = implicit.iter().find(|t| t.name == name).unwrap();
    Implicit::new(*tableau).newton(20, 1e-14).into()
}

#[test]
fn fixed_steps_agree_with_other_libraries() {
    let golden: Value = serde_json::from_str(include_str!("golden/states.json")).unwrap();
    let times: Vec<f64> = (0..=10).map(|i| f64::from(i) / 10.0).collect();
    let mut methods = 0;
    for (library, found) in golden["states"].as_object().unwrap() {
        for (name, states) in found.as_object().unwrap() {
            let solver = Solver::fixed(stepper(name), 10).unwrap();
            let solution = solver.solve(&smooth(), &ones(1, 2), &vector(&times)).unwrap();
            let states = states.as_array().unwrap();
            assert_eq!(states.len(), 10);
            for (i, state) in states.iter().enumerate() {
                for (j, wanted) in state.as_array().unwrap().iter().enumerate() {
                    let found = solution.states.double_value(&[i as i64 + 1, 0, j as i64]);
                    let gap = (found - wanted.as_f64().unwrap()).abs();
                    // The other library's Newton iterations end at 1e-12.
                    let limit = if name.starts_with("kvaerno") || name.starts_with("implicit") {
                        1e-10
                    } else {
                        1e-12
                    };
                    assert!(gap < limit, "{library}, {name}, step {i}: {gap}");
                }
            }
            methods += 1;
        }
    }
    assert_eq!(methods, 17);
}
