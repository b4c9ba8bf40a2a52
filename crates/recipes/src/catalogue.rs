//! The recipes by name.

use crate::config::Recipe;
use anyhow::{Result, bail};
use maxlik_train::config;
use std::path::Path;

/// A recipe that comes with maxlik.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// Its configuration.
    pub text: &'static str,
}

/// All recipes.
pub const RECIPES: &[Entry] = &[
    Entry {
        name: "digits",
        about: "a neural spline flow on 8×8 handwritten digits, in bits per dimension",
        text: include_str!("../recipes/digits.toml"),
    },
    Entry {
        name: "glow-digits",
        about: "Glow on the same digits: two scales, 1×1 convolutions, learned prior",
        text: include_str!("../recipes/glow-digits.toml"),
    },
    Entry {
        name: "tarflow-digits",
        about: "TARFlow on the same digits: transformer blocks over patches in alternating order",
        text: include_str!("../recipes/tarflow-digits.toml"),
    },
    Entry {
        name: "toy",
        about: "a density on the plane (data.name), beside the true one",
        text: include_str!("../recipes/toy.toml"),
    },
    Entry {
        name: "table",
        about: "any table of numbers (data.path): CSV, NPY or NPZ",
        text: include_str!("../recipes/table.toml"),
    },
    Entry {
        name: "realnvp-table",
        about: "RealNVP on a table, yours or UCI's (data.kind=uci)",
        text: include_str!("../recipes/realnvp-table.toml"),
    },
    Entry {
        name: "maf-table",
        about: "the masked autoregressive flow on a table, yours or UCI's",
        text: include_str!("../recipes/maf-table.toml"),
    },
    Entry {
        name: "ffjord-toy",
        about: "a continuous flow on the plane (data.name), beside the true density",
        text: include_str!("../recipes/ffjord-toy.toml"),
    },
    Entry {
        name: "otcfm-toy",
        about: "the same flow trained by OT-CFM, flow matching between optimally paired ends",
        text: include_str!("../recipes/otcfm-toy.toml"),
    },
    Entry {
        name: "diffusion-toy",
        about: "a diffusion model on the plane: velocity matching, likelihood by its ODE and by its bound",
        text: include_str!("../recipes/diffusion-toy.toml"),
    },
    Entry {
        name: "diffusion-digits",
        about: "a diffusion model on the digits, its ODE's and its bound's bits per dimension",
        text: include_str!("../recipes/diffusion-digits.toml"),
    },
    Entry {
        name: "ebflow-toy",
        about: "EBFlow: a flow with free matrices on the plane by score matching, no determinant",
        text: include_str!("../recipes/ebflow-toy.toml"),
    },
    Entry {
        name: "ffjord-table",
        about: "a continuous flow on a table, yours or UCI's",
        text: include_str!("../recipes/ffjord-table.toml"),
    },
    Entry {
        name: "nsf-table",
        about: "the autoregressive neural spline flow on a table, yours or UCI's",
        text: include_str!("../recipes/nsf-table.toml"),
    },
    Entry {
        name: "char-lm",
        about: "a language model of characters: the sonnets, or your text (data.path)",
        text: include_str!("../recipes/char-lm.toml"),
    },
];

/// The recipe of that name, or in that file, with `overrides`.
///
/// # Errors
/// For a name that no recipe has and no file either, and for what [`config::load`] refuses.
pub fn find(name_or_path: &str, overrides: &[String]) -> Result<Recipe> {
    if let Some(entry) = RECIPES.iter().find(|entry| entry.name == name_or_path) {
        return Ok(config::parse(&format!("recipe {}", entry.name), entry.text, overrides)?);
    }
    let path = Path::new(name_or_path);
    if path.extension().is_some_and(|extension| extension == "toml") {
        return Ok(config::load(path, overrides)?);
    }
    let names: Vec<&str> = RECIPES.iter().map(|entry| entry.name).collect();
    bail!("no recipe is called {name_or_path:?}: expected {}, or a .toml file", names.join(", "))
}
