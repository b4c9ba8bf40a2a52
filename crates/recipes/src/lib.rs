//! Generative models as recipes, and the command `maxlik` that trains them.
//!
//! A recipe is a TOML file: data, model, objective, optimizer ([`config`]). [`catalogue`] lists those
//! that come with maxlik; the command line ([`cli`]) trains, evaluates, samples and reports them.

pub mod batches;
pub mod catalogue;
pub mod cli;
pub mod commands;
pub mod config;
pub mod evaluate;
pub mod model;
pub mod outcome;
pub mod pictures;
pub mod plane;
pub mod problem;
pub mod samples;
