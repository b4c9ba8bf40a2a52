//! `cargo xtask doctor`: what this machine has and lacks, each fault with its cure.

use std::env;
use std::path::Path;
use std::process::ExitCode;
use std::thread::available_parallelism;

use anyhow::Result;

use crate::device::Driver;
use crate::disk;
use crate::libtorch::check::{self, Fault};
use crate::libtorch::find::{self, Home, Origin};
use crate::libtorch::python::Python;
use crate::libtorch::{VERSION, Variant};
use crate::shell;
use crate::workspace::Workspace;

/// One line of the examination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// All is well.
    Fine(String),
    /// Good to know; nothing needs it.
    Note(String),
    /// Builds or runs will fail.
    Fault {
        /// What is wrong.
        what: String,
        /// What to do about it.
        cure: String,
    },
}

/// Runs the command: exit code 1 where something needed is faulty.
///
/// # Errors
/// None at present; the signature is that of all commands.
pub fn run(workspace: &Workspace) -> Result<ExitCode> {
    let variable = find::variable(workspace);
    let python = Python::find();
    let mut findings = libtorch(workspace, Variant::Cpu, variable.as_deref());
    findings.extend(cuda(workspace, variable.as_deref(), &Driver::find()));
    findings.push(("threads", threads()));
    findings.push(("Rust", tool("rustc", "install Rust from rustup.rs")));
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let cure =
        "install a C++ compiler (on Debian and Ubuntu: apt install g++), or name yours in CXX";
    findings.push(("C++", tool(&compiler, cure)));
    findings.push(("Python", self::python(python.as_ref())));
    findings.push(("disk", space(workspace.root())));
    let faults =
        findings.iter().filter(|(_, finding)| matches!(finding, Finding::Fault { .. })).count();
    for (name, finding) in &findings {
        print(name, finding);
    }
    if faults == 0 {
        say!("All that maxlik needs is here.");
        Ok(ExitCode::SUCCESS)
    } else {
        say!("{faults} fault{}; each has its cure beside it.", if faults == 1 { "" } else { "s" });
        Ok(ExitCode::FAILURE)
    }
}

fn print(name: &str, finding: &Finding) {
    match finding {
        Finding::Fine(text) => say!("ok     {name:<9} {text}"),
        Finding::Note(text) => say!("-      {name:<9} {text}"),
        Finding::Fault { what, cure } => {
            say!("FAULT  {name:<9} {what}");
            say!("       {:<9} cure: {cure}", "");
        }
    }
}

/// Place, version, files, ABI and loading of the LibTorch that decides, as one line each; after the first fault
/// the rest cannot be told.
#[must_use]
pub fn libtorch(
    workspace: &Workspace,
    variant: Variant,
    variable: Option<&Path>,
) -> Vec<(&'static str, Finding)> {
    let home = find::place(workspace, variant, variable);
    let root = &home.root;
    type Check<'a> = (&'static str, Box<dyn Fn() -> Result<String, Fault> + 'a>);
    let checks: [Check<'_>; 5] = [
        ("LibTorch", Box::new(|| check::exists(root).map(|()| whence(workspace, &home)))),
        (
            "files",
            Box::new(|| {
                check::files(root, variant)
                    .map(|()| "headers and libraries are complete".to_owned())
            }),
        ),
        ("version", Box::new(|| check::version(root))),
        ("ABI", Box::new(|| check::abi(root).map(|()| "C++11 strings".to_owned()))),
        (
            "link",
            Box::new(|| {
                check::loads(root, variant)
                    .map(|()| "every library and symbol that it needs is found".to_owned())
            }),
        ),
    ];
    let mut findings = Vec::new();
    for (name, check) in checks {
        match check() {
            Ok(text) => findings.push((name, Finding::Fine(text))),
            Err(fault) => {
                let cure = home.origin.cure(variant);
                let what = fault.to_string();
                findings.push((name, Finding::Fault { what, cure }));
                break;
            }
        }
    }
    findings
}

fn whence(workspace: &Workspace, home: &Home) -> String {
    let shown = workspace.shown(&home.root);
    match (home.origin, home.root.read_link()) {
        (Origin::Variable, _) => format!("{shown}, by the variable LIBTORCH"),
        (Origin::Folder, Ok(to)) => format!("{shown} -> {}", to.display()),
        (Origin::Folder, Err(_)) => shown,
    }
}

/// The CUDA side, which nothing needs unless `--device cuda` is asked for.
fn cuda(
    workspace: &Workspace,
    variable: Option<&Path>,
    driver: &Driver,
) -> Vec<(&'static str, Finding)> {
    if let Err(error) = driver.check() {
        return vec![("CUDA", Finding::Note(error.to_string()))];
    }
    let devices = shell::first_line("nvidia-smi", &["--query-gpu=name", "--format=csv,noheader"]);
    let device =
        devices.unwrap_or_else(|| "a driver is here; nvidia-smi names no device".to_owned());
    let mut findings = vec![("CUDA", Finding::Fine(device))];
    let home = find::place(workspace, Variant::Cuda, variable);
    let built = match check::works(&home.root, Variant::Cuda) {
        Ok(()) => Finding::Fine(format!("LibTorch with CUDA at {}", workspace.shown(&home.root))),
        Err(_) if !home.root.exists() => Finding::Note(format!(
            "LibTorch with CUDA is not set up; --device cuda does that, or `{}`",
            Variant::Cuda.command()
        )),
        Err(fault) => {
            Finding::Fault { what: fault.to_string(), cure: home.origin.cure(Variant::Cuda) }
        }
    };
    findings.push(("CUDA", built));
    findings
}

fn threads() -> Finding {
    let count = available_parallelism().map_or(1, usize::from);
    let limit = ["OMP_NUM_THREADS", "RAYON_NUM_THREADS"]
        .into_iter()
        .filter_map(|name| Some(format!(", {name}={}", env::var(name).ok()?)))
        .collect::<String>();
    Finding::Fine(format!("{count} to compute with{limit}"))
}

fn tool(program: &str, cure: &str) -> Finding {
    match shell::first_line(program, &["--version"]) {
        Some(version) => Finding::Fine(version),
        None => Finding::Fault { what: format!("{program} does not run"), cure: cure.to_owned() },
    }
}

/// Python and pip are for set-up only: once LibTorch is there, nothing needs them.
fn python(python: Option<&Python>) -> Finding {
    match python.map(|python| (&python.version, python.pip())) {
        Some((version, Some(pip))) => Finding::Fine(format!("{version}, {pip}")),
        Some((version, None)) => Finding::Note(format!(
            "{version} without pip, which set-up downloads with (on Debian and Ubuntu: apt install python3-pip)"
        )),
        None => Finding::Note(
            "no python3, which set-up downloads with (on Debian and Ubuntu: apt install python3-pip)"
                .to_owned(),
        ),
    }
}

/// A full build of the workspace, in both profiles, and a LibTorch for the CPU.
const ROOM: u64 = 8_000_000_000;

fn space(root: &Path) -> Finding {
    match disk::free(root) {
        Some(free) if free < ROOM => Finding::Note(format!(
            "{:.1} GB free; builds and LibTorch {VERSION} want about {:.0} GB",
            free as f64 / 1e9,
            ROOM as f64 / 1e9
        )),
        Some(free) => Finding::Fine(format!("{:.0} GB free", free as f64 / 1e9)),
        None => Finding::Note("df does not tell the free space".to_owned()),
    }
}
