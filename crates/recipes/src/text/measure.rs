//! Likelihood of held-out text, beside counts of tokens and of pairs.

use super::{TextModel, TextProblem};
use crate::outcome::{Line, Results};
use anyhow::Result;
use maxlik_data::text::Sequences;
use maxlik_objectives::sequence::Predictions;
use maxlik_tensor::host;
use maxlik_train::evaluate::Estimate;
use std::f64::consts::LN_2;

/// Rows that are evaluated at once.
const CHUNK: usize = 64;

/// Mean negative log-likelihood of a part's tokens in nats; the standard error is that over rows.
///
/// # Errors
/// Those of the model.
pub(super) fn nll(model: &TextModel, part: &Sequences) -> Result<Estimate> {
    let _no_grad = tch::no_grad_guard();
    let (mut total, mut count, mut rows) = (0.0, 0.0, Vec::new());
    let all: Vec<usize> = (0..part.tokens.nrows()).collect();
    for chunk in all.chunks(CHUNK) {
        let batch = TextProblem::batch(part, chunk, model.device())?;
        let at = Predictions::of(model.model.as_ref(), &batch)?;
        let sums = host::to_vec(&at.sequence_log_prob()?)?;
        let weight = at.weight().f_sum_dim_intlist([1_i64].as_slice(), false, tch::Kind::Double)?;
        for (sum, tokens) in sums.iter().zip(host::to_vec(&weight)?) {
            total -= sum;
            count += tokens;
            if tokens > 0.0 {
                rows.push(-sum / tokens);
            }
        }
    }
    // The last row may be short: its tokens weigh as much as any other's.
    Ok(Estimate { mean: total / count, ..Estimate::of("NLL", &rows)? })
}

/// Test likelihood of models that count: single tokens, or pairs with one added to each count.
fn counted(problem: &TextProblem, pairs: bool) -> f64 {
    let size = problem.tokenizer.vocabulary();
    let contexts = if pairs { size } else { 1 };
    let mut counts = vec![1.0_f64; contexts * size];
    let place = |row: ndarray::ArrayView1<'_, i64>, t: usize| {
        let token = |t: usize| usize::try_from(row[t]).unwrap_or(0);
        if pairs { token(t - 1) * size + token(t) } else { token(t) }
    };
    let each = |part: &Sequences, visit: &mut dyn FnMut(usize)| {
        for (row, weight) in part.tokens.rows().into_iter().zip(part.weight.rows()) {
            (1..row.len()).filter(|&t| weight[t] > 0.0).for_each(|t| visit(place(row, t)));
        }
    };
    each(&problem.train, &mut |at| counts[at] += 1.0);
    let sums: Vec<f64> = counts.chunks(size).map(|row| row.iter().sum()).collect();
    let (mut total, mut tokens) = (0.0, 0.0);
    each(&problem.test, &mut |at| {
        total -= (counts[at] / sums[at / size]).ln();
        tokens += 1.0;
    });
    total / tokens
}

/// Evaluates the model on validation and test parts.
///
/// # Errors
/// Those of the model.
pub(super) fn measure(problem: &TextProblem, model: &TextModel) -> Result<Results> {
    let (validation, test) = (nll(model, &problem.validation)?, nll(model, &problem.test)?);
    let tokens = f64::from(problem.test.weight.iter().sum::<f32>());
    let bytes: usize = problem.test_text.iter().map(String::len).sum();
    let words: usize = problem.test_text.iter().map(|t| t.split_whitespace().count()).sum();
    let mut results = Results::default();
    let mut push = |key: &'static str, label: &str, value: f64, error: Option<f64>| {
        results.lines.push(Line { key, label: label.to_owned(), value, error });
    };
    push("test_nll_nats", "test, nats per token", test.mean, Some(test.standard_error));
    push("unigram_nats", "counts of tokens", counted(problem, false), None);
    push("bigram_nats", "counts of pairs of tokens", counted(problem, true), None);
    push("validation_nll_nats", "validation, nats per token", validation.mean, None);
    push("test_perplexity", "test perplexity per token", test.mean.exp(), None);
    let per_byte = test.mean * tokens / bytes.max(1) as f64;
    push("test_bits_per_byte", "test, bits per byte", per_byte / LN_2, None);
    let per_word = test.mean * tokens / words.max(1) as f64;
    push("test_nats_per_word", "test, nats per word", per_word, None);
    results.note = format!(
        "Each token of the held-out text is predicted once, from up to {} tokens before it in its row; \
         {tokens:.0} test tokens, {bytes} bytes, {words} words.",
        problem.test.tokens.ncols() - 1
    );
    Ok(results)
}
