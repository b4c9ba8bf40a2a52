//! Text that a model writes.

use super::{Opened, TextModel, TextProblem};
use anyhow::{Context, Result, bail};
use maxlik_model::Session;
use maxlik_nn::decode::{Choice, Generation};
use maxlik_tensor::with_seed;
use std::io::Write;
use tch::Tensor;

/// What is written on, and how.
#[derive(Debug, Clone)]
pub struct Prompted {
    /// The beginning; empty for that of a document.
    pub prompt: String,
    /// New tokens, at most.
    pub tokens: i64,
    /// How each is chosen.
    pub choice: Choice,
    /// Seed of the draws.
    pub seed: u64,
}

/// Writes on from the prompt, and hands every piece of text over as it comes. Where the model's length
/// is reached, it goes on with the last half of it as the new beginning.
///
/// # Errors
/// For a prompt with characters that the model does not know, and those of the model.
pub(super) fn stream(
    problem: &TextProblem,
    model: &TextModel,
    prompted: &Prompted,
    mut each: impl FnMut(&str) -> bool,
) -> Result<()> {
    if prompted.tokens < 1 {
        bail!("--tokens: expected at least 1, got {}", prompted.tokens);
    }
    let tokenizer = problem.tokenizer.as_ref();
    let boundary = tokenizer.boundary();
    let mut text = vec![boundary];
    text.extend(tokenizer.encode(&prompted.prompt).context("--prompt")?);
    let begun = text.len();
    let length = model.model.length().unwrap_or(i64::MAX);
    let mut shown = 0;
    let mut going = true;
    while going && ((text.len() - begun) as i64) < prompted.tokens {
        let most = usize::try_from(length / 2).unwrap_or(1).max(1);
        let context = &text[text.len().saturating_sub(if text.len() as i64 >= length {
            most
        } else {
            text.len()
        })..];
        let left = prompted.tokens - (text.len() - begun) as i64;
        let room = (length - context.len() as i64 + 1).min(left);
        let prompt = Tensor::f_from_slice(context)?.f_unsqueeze(0)?.f_to_device(model.device())?;
        let generation = Generation {
            tokens: room,
            choice: prompted.choice,
            end: Some(boundary),
            pad: boundary,
        };
        let mut session = model.model.session();
        generation.stream(&mut *session as &mut dyn Session, &prompt, |token| {
            let token = token.int64_value(&[0]);
            text.push(token);
            if token == boundary {
                going = false;
                return Ok(false);
            }
            // Bytes may end in the middle of a character: those that are whole are shown.
            let new = tokenizer.decode(&text[begun + shown..]);
            let new = new.map_err(|e| maxlik_tensor::Error::config("tokens", e.to_string()))?;
            if !new.ends_with('\u{fffd}') {
                shown = text.len() - begun;
                going = each(&new);
            }
            Ok(going)
        })?;
    }
    Ok(())
}

/// `maxlik sample` of a run of text: prints what is written as it comes, `count` times, and keeps it in
/// the run's `samples.txt`.
///
/// # Errors
/// As the model's, and for files that cannot be written.
pub fn sample(opened: &Opened, prompted: &Prompted, count: i64) -> Result<()> {
    let mut kept = String::new();
    for number in 0..count {
        let seed = prompted.seed.wrapping_add(number.unsigned_abs());
        let mut out = std::io::stdout();
        let mut written = prompted.prompt.clone();
        let _gone = write!(out, "{}", prompted.prompt);
        with_seed(seed, || {
            stream(&opened.problem, &opened.model, prompted, |piece| {
                written.push_str(piece);
                // A reader that has gone away wants no more.
                write!(out, "{piece}").and_then(|()| out.flush()).is_ok()
            })
        })?;
        say!("");
        if count > 1 {
            say!("--");
        }
        kept.push_str(&written);
        kept.push_str("\n--\n");
    }
    let file = opened.run.write("samples.txt", kept.as_bytes())?;
    tracing::info!("samples: {}", file.display());
    Ok(())
}
