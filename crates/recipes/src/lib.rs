//! Generative models as recipes, and the command `maxlik` that trains them.
//!
//! A recipe is a TOML file: data, model, objective, optimizer ([`config`]). [`catalogue`] lists those
//! that come with maxlik; the command line ([`cli`]) trains, evaluates, samples and reports them.

/// Prints a line; a reader that has gone away is no error.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _gone = writeln!(std::io::stdout(), $($text)*);
    }};
}

pub mod batches;
pub mod catalogue;
pub mod cli;
pub mod commands;
pub mod config;
pub mod continuous;
pub mod diffusion;
pub mod evaluate;
mod features;
pub mod model;
pub mod outcome;
pub mod pictures;
pub mod plane;
pub mod problem;
pub mod samples;
pub mod score;
pub mod systems;
pub mod text;
