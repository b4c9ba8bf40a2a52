//! What a trained model is worth: numbers beside their baselines.

use crate::config::{ModelConfig, Recipe};
use crate::diffusion::Within;
use crate::evaluate;
use crate::model::Model;
use crate::plane::Plane;
use crate::problem::{Problem, Subject};
use anyhow::Result;
use maxlik_data::Dataset;
use maxlik_train::evaluate::Estimate;
use std::collections::BTreeMap;
use std::f64::consts::LN_2;
use std::fmt::Write;

/// One line of a table of results.
#[derive(Debug, Clone)]
pub struct Line {
    /// Key in `summary.json`.
    pub key: &'static str,
    /// Words for people.
    pub label: String,
    /// The number.
    pub value: f64,
    /// Its standard error over rows, where it has one.
    pub error: Option<f64>,
}

/// The results of a run.
#[derive(Debug, Clone, Default)]
pub struct Results {
    /// In the order in which they are shown.
    pub lines: Vec<Line>,
    /// What the numbers mean.
    pub note: String,
}

impl Results {
    /// By key, for `summary.json`.
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let errors = self.lines.iter().filter_map(|line| {
            line.error.map(|error| (format!("{}_standard_error", line.key), error))
        });
        self.lines.iter().map(|line| (line.key.to_owned(), line.value)).chain(errors).collect()
    }

    /// As aligned text.
    #[must_use]
    pub fn table(&self) -> String {
        let width = self.lines.iter().map(|line| line.label.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for line in &self.lines {
            let error = line.error.map_or(String::new(), |e| format!(" ± {e:.4}"));
            let _ = writeln!(text, "{:width$}  {:>10.4}{error}", line.label, line.value);
        }
        text
    }

    fn push(
        &mut self,
        key: &'static str,
        label: impl Into<String>,
        value: f64,
        error: Option<f64>,
    ) {
        self.lines.push(Line { key, label: label.into(), value, error });
    }
}

/// Evaluates the model on validation and test parts.
///
/// # Errors
/// Those of the density.
pub fn measure(recipe: &Recipe, problem: &Problem, model: &Model) -> Result<Results> {
    let nll = |part: &Dataset<f64>| -> Result<Estimate> {
        Ok(Estimate::of("NLL", &evaluate::nll(model, problem, part, recipe.seed)?)?)
    };
    let (validation, test) = (nll(&problem.parts.validation)?, nll(&problem.parts.test)?);
    let mut results = Results::default();
    let dims = problem.dims() as f64;
    if let Some(levels) = problem.levels {
        let bits = dims * LN_2;
        let label = "test, bits per dimension";
        results.push(
            "test_bits_per_dim",
            label,
            test.mean / bits,
            Some(test.standard_error / bits),
        );
        results.push(
            "validation_bits_per_dim",
            "validation, bits per dimension",
            validation.mean / bits,
            None,
        );
        for (name, value) in evaluate::image_baselines(problem, levels) {
            let key =
                if name == "uniform" { "uniform_bits_per_dim" } else { "independent_bits_per_dim" };
            results.push(key, format!("baseline: {name}, bits per dimension"), value, None);
        }
        results.note = note(recipe, model, levels, dims);
    } else {
        results.note = "Negative log-likelihood in the units of the data.".to_owned();
    }
    results.push("test_nll_nats", "test NLL, nats", test.mean, Some(test.standard_error));
    results.push(
        "validation_nll_nats",
        "validation NLL, nats",
        validation.mean,
        Some(validation.standard_error),
    );
    if let Some(evidence) = &model.evidence {
        let rows = evaluate::rows(model, &problem.parts.test)?;
        let bound = Estimate::of("bound", &evidence.nats(&rows, recipe.seed)?)?;
        let (mean, error) = (bound.mean, bound.standard_error);
        let label = "test evidence bound of the diffusion";
        if problem.levels.is_some() {
            let bits = dims * LN_2;
            let label = format!("{label}, bits per dimension");
            results.push("test_elbo_bits_per_dim", label, mean / bits, Some(error / bits));
        }
        results.push("test_elbo_nats", format!("{label}, nats"), mean, Some(error));
    }
    match &problem.subject {
        Subject::Plane { truth } => {
            let entropy = truth.entropy();
            results.push("entropy_nats", "entropy of the truth, nats", entropy, None);
            results.push(
                "excess_nats",
                "NLL above the entropy, nats",
                test.mean - entropy,
                Some(test.standard_error),
            );
            let mass = Plane::integral(model, &truth.bounds())?;
            results.push("integral", "integral of the density", mass, None);
        }
        Subject::Table => {
            let scale = problem.scale.as_ref().map_or(0.0, maxlik_data::Standardizer::log_scale);
            let gaussian = gaussian_nll(problem)?;
            results.push(
                "test_nll_nats_standardized",
                "test NLL of standardised data, nats",
                test.mean - scale,
                Some(test.standard_error),
            );
            results.push(
                "gaussian_nll_nats",
                "baseline: one Gaussian, test NLL, nats",
                gaussian,
                None,
            );
        }
        Subject::Images { .. } => {}
    }
    Ok(results)
}

/// What bits per dimension are.
fn note(recipe: &Recipe, model: &Model, levels: u32, dims: f64) -> String {
    let draws = evaluate::draws(model);
    let bound =
        format!("Bits per dimension bound −log2 P(v)/{dims} of the {levels} levels from above: ");
    let normal = matches!(&recipe.model, ModelConfig::Diffusion(config)
        if config.dequantization == Within::TruncatedNormal);
    if normal {
        return format!(
            "{bound}the likelihood of the diffusion's ODE at the middle of the bin with its first noise, cut \
             off at the bin's ends, less the entropy of that noise; mean over {draws} draws. The evidence \
             bound is of the diffusion itself."
        );
    }
    format!(
        "{bound}uniform dequantization x = (v + u)/{levels}, mean over {draws} draws of u, with the \
         constant log2 {levels} = {:.4} for the scaling.",
        f64::from(levels).log2()
    )
}

/// Mean test NLL of the normal with the training part's mean and covariance.
fn gaussian_nll(problem: &Problem) -> Result<f64> {
    let rows = |part: &Dataset<f64>| {
        maxlik_data::tensor::array_to_tensor(part.rows(), &[part.dims()], tch::Device::Cpu)
    };
    let (train, test) = (rows(&problem.parts.train)?, rows(&problem.parts.test)?);
    let (n, dims) = (train.size()[0] as f64, train.size()[1]);
    let mean = train.f_mean_dim([0_i64].as_slice(), true, None::<tch::Kind>)?;
    let centred = train - &mean;
    let covariance = centred.f_transpose(0, 1)?.f_matmul(&centred)? / n;
    // A ridge far below the data's own scale, for columns that depend on each other.
    let ridge = covariance.f_diagonal(0, 0, 1)?.f_mean(None::<tch::Kind>)? * 1e-9;
    let covariance = covariance + tch::Tensor::f_eye(dims, tch::kind::DOUBLE_CPU)? * ridge;
    let factor = covariance.f_linalg_cholesky(false)?;
    let z = tch::Tensor::f_linalg_solve_triangular(
        &factor,
        &(test - mean).f_transpose(0, 1)?,
        false,
        true,
        false,
    )?;
    let quadratic =
        z.f_square()?.f_sum_dim_intlist([0_i64].as_slice(), false, None::<tch::Kind>)?;
    let log_det = maxlik_tensor::logdet::triangular(&factor)?;
    let constant = dims as f64 * (2.0 * std::f64::consts::PI).ln();
    let mean = quadratic.f_mean(None::<tch::Kind>)? * 0.5 + log_det + 0.5 * constant;
    Ok(maxlik_tensor::host::scalar(&mean)?)
}
