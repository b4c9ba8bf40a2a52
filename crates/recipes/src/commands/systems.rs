//! `maxlik systems`.

use crate::catalogue::RECIPES;

/// Lists the recipes with one line each.
pub fn systems() {
    let width = RECIPES.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    for entry in RECIPES {
        say!("{:width$}  {}", entry.name, entry.about);
    }
}
