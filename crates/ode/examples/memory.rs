//! Memory of the gradient modes: the peak of a process that takes one gradient, for numbers of steps
//! that grow by 16. Prints the table of docs/ode.md.
//!
//! `cargo run -p maxlik-ode --example memory`
#![allow(clippy::print_stdout, reason = "an example shows what it finds")]

use maxlik_ode::{Gradient, SharedField, Solver, tableau};
use maxlik_tensor::{Error, Result, with_seed};
use std::process::Command;
use tch::{Device, Kind, Tensor};

const MODES: [&str; 6] =
    ["start", "recorded", "interpolated", "checkpointed", "adjoint", "reversible"];
const STEPS: [usize; 3] = [64, 256, 1024];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [mode, steps] => one(mode, steps.parse().unwrap_or(1)),
        _ => table(),
    }
}

fn table() -> Result<()> {
    println!("{:<14} {}", "mode", STEPS.map(|n| format!("{n:>6} steps")).join(" "));
    for mode in MODES {
        let peaks: Vec<String> = STEPS
            .iter()
            .map(|n| Ok(format!("{:>9} MB", child(mode, *n)?)))
            .collect::<Result<_>>()?;
        println!("{mode:<14} {}", peaks.join(" "));
    }
    Ok(())
}

/// The peak of a process of its own, in units of 10⁶ bytes.
fn child(mode: &str, steps: usize) -> Result<String> {
    let failed = |source| Error::Io { path: "memory".into(), source };
    let program = std::env::current_exe().map_err(failed)?;
    let output = Command::new(program).args([mode, &steps.to_string()]).output().map_err(failed)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A gradient through RK4 on 64 samples of 64 numbers (16 kB), with one weight matrix.
fn one(mode: &str, steps: usize) -> Result<()> {
    tch::set_num_threads(1);
    let options = (Kind::Float, Device::Cpu);
    let weight = with_seed(1, || Tensor::f_randn([64, 64], options))? * 0.1;
    let weight = weight.set_requires_grad(true);
    let y0 = with_seed(2, || Tensor::f_randn([64, 64], options))?.set_requires_grad(true);
    let inside = weight.shallow_clone();
    let field = SharedField::from_fn(move |_t, y| Ok(y.f_matmul(&inside)?.f_tanh()?.f_sub(y)?));
    let solver = Solver::fixed(tableau::RK4, steps)?;
    let times = Tensor::from_slice(&[0.0, 1.0]);
    let gradient = match mode {
        "checkpointed" => Some(Gradient::Checkpointed { snapshots: 8 }),
        "adjoint" => Some(Gradient::Adjoint { solver: None, seminorm: true }),
        "interpolated" => Some(Gradient::Interpolated { solver: None }),
        "reversible" => Some(Gradient::Reversible { coupling: 0.999 }),
        _ => None,
    };
    if mode != "start" {
        let parameters = [weight.shallow_clone()];
        let solution = match &gradient {
            None => solver.solve(&field, &y0, &times)?,
            Some(mode) => solver.solve_with(&field, &parameters, &y0, &times, mode)?,
        };
        solution.final_states().f_square()?.f_sum(None)?.f_backward()?;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    println!("{:.0}", kilobytes.unwrap_or(f64::NAN) * 1.024e-3);
    Ok(())
}
