//! Layers from TOML under the shared checker: a line for each.

use maxlik_flows::LayerConfig;
use maxlik_testkit::{Subject, Support, check_bijection};

/// One line of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    toml: &'static str,
    dims: i64,
    context: Option<i64>,
    support: Support,
    tolerance: (f64, f64),
    jitter: f64,
}

impl Line {
    /// A layer on five real numbers, with tolerances of 10⁻⁸ and 10⁻³.
    pub(crate) const fn new(toml: &'static str) -> Self {
        let support = Support::Real(1.0);
        Self { toml, dims: 5, context: None, support, tolerance: (1e-8, 1e-3), jitter: 0.3 }
    }

    pub(crate) const fn dims(self, dims: i64) -> Self {
        Self { dims, ..self }
    }

    pub(crate) const fn context(self) -> Self {
        Self { context: Some(2), ..self }
    }

    pub(crate) const fn on(self, support: Support) -> Self {
        Self { support, ..self }
    }

    pub(crate) const fn within(self, double: f64, single: f64) -> Self {
        Self { tolerance: (double, single), ..self }
    }

    pub(crate) const fn jittered(self, jitter: f64) -> Self {
        Self { jitter, ..self }
    }

    #[track_caller]
    pub(crate) fn check(&self) {
        let config: LayerConfig = toml::from_str(self.toml)
            .unwrap_or_else(|error| panic!("{}: not a layer: {error}", self.toml));
        let again: LayerConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config, "{}: does not survive serialization", self.toml);
        let (double, single) = self.tolerance;
        let name = format!("{}{}", self.toml, self.context.map_or("", |_| " with context"));
        let build = |scope: &maxlik_nn::Scope<'_>| config.build(scope, self.dims, self.context);
        check_bijection(
            &Subject::new(&name, &build)
                .on(self.support)
                .within(double, single)
                .jittered(self.jitter),
        );
    }
}
