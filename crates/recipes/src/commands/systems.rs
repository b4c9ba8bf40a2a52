//! `maxlik systems`.

use crate::catalogue::RECIPES;
use crate::systems::SYSTEMS;

/// Lists the recipes, which `train` takes, and the published systems, which `reproduce` takes, with
/// one line each.
pub fn systems() {
    let recipes = RECIPES.iter().map(|entry| (entry.name, entry.about));
    let published = SYSTEMS.iter().map(|system| (system.name, system.about));
    let width = recipes.clone().chain(published.clone()).map(|(name, _)| name.len()).max();
    let width = width.unwrap_or(0);
    for (name, about) in recipes {
        say!("{name:width$}  {about}");
    }
    for (name, about) in published {
        say!("{name:width$}  reproduce: {about}");
    }
}
