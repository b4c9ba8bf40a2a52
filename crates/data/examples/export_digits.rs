//! Writes the digits with their canonical split to an NPZ file, for a program in another language:
//! `cargo run -p maxlik-data --example export_digits -- out.npz [seed]`.

use maxlik_data::digits;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("export_digits: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), String> {
    let (path, seed) = match arguments {
        [path] => (path, digits::SPLIT_SEED),
        [path, seed] => {
            let parsed = seed.parse();
            let seed = parsed.map_err(|_| format!("seed: expected a number, got `{seed}`"))?;
            (path, seed)
        }
        _ => return Err("expected a file name and perhaps a seed".to_owned()),
    };
    let split = digits::split(seed).map_err(|e| e.to_string())?;
    digits::export_npz(&PathBuf::from(path), &split).map_err(|e| e.to_string())
}
