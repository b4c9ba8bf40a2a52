//! The command `maxlik`: trains, evaluates, samples and reports.

use clap::Parser;
use maxlik_recipes::cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    cli::log_to_stderr();
    // A panic is a defect of ours; a person still gets one line, and no backtrace.
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = std::panic::catch_unwind(|| cli::run(&arguments));
    match outcome {
        Ok(Ok(code)) => ExitCode::from(code),
        Ok(Err(error)) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
        Err(payload) => {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
            let line = text.and_then(|t| t.lines().next()).unwrap_or("no message");
            eprintln!("error: a defect in maxlik: {line}");
            ExitCode::FAILURE
        }
    }
}
