//! Checks of shape, dtype and device at public boundaries.

use crate::{Error, Result};
use tch::Tensor;

/// Checks that `x` is `[B, event…]`, and returns `B`.
///
/// # Errors
/// [`Error::Shape`] naming `what`, expected and got.
pub fn batch_of(what: &str, x: &Tensor, event: &[i64]) -> Result<i64> {
    let size = x.size();
    match size.split_first() {
        Some((&batch, rest)) if rest == event => Ok(batch),
        _ => Err(Error::shape(what, describe(event), &size)),
    }
}

/// Checks that `x` has exactly `shape`.
///
/// # Errors
/// [`Error::Shape`] naming `what`, expected and got.
pub fn shape(what: &str, x: &Tensor, shape: &[i64]) -> Result<()> {
    let size = x.size();
    if size == shape { Ok(()) } else { Err(Error::shape(what, format!("{shape:?}"), &size)) }
}

/// Checks that `x` is a batch of square matrices `[…, D, D]`, and returns `D`.
///
/// # Errors
/// [`Error::Shape`] naming `what`.
pub fn square(what: &str, x: &Tensor) -> Result<i64> {
    let size = x.size();
    match size.as_slice() {
        [.., rows, columns] if rows == columns => Ok(*rows),
        _ => Err(Error::shape(what, "[…, D, D]", &size)),
    }
}

/// Checks that `x` is a floating-point tensor.
///
/// # Errors
/// [`Error::Kind`] naming `what`.
pub fn floating(what: &str, x: &Tensor) -> Result<()> {
    let kind = x.kind();
    if matches!(kind, tch::Kind::Float | tch::Kind::Double | tch::Kind::BFloat16 | tch::Kind::Half)
    {
        return Ok(());
    }
    Err(Error::Kind {
        what: what.to_owned(),
        expected: "a floating-point type".to_owned(),
        got: format!("{kind:?}"),
    })
}

/// Checks that `x` has the dtype and the device of `like`.
///
/// # Errors
/// [`Error::Kind`] or [`Error::Device`] naming `what`.
pub fn alike(what: &str, x: &Tensor, like: &Tensor) -> Result<()> {
    if x.kind() != like.kind() {
        return Err(Error::Kind {
            what: what.to_owned(),
            expected: format!("{:?}", like.kind()),
            got: format!("{:?}", x.kind()),
        });
    }
    if x.device() != like.device() {
        return Err(Error::Device {
            what: what.to_owned(),
            expected: format!("{:?}", like.device()),
            got: format!("{:?}", x.device()),
        });
    }
    Ok(())
}

/// Checks the context of a conditional map: there exactly when `expected` is, `[B, context…]`,
/// with the dtype and device of `x`.
///
/// # Errors
/// [`Error::Shape`], [`Error::Kind`] or [`Error::Device`] naming the context.
pub fn context(x: &Tensor, context: Option<&Tensor>, expected: Option<&[i64]>) -> Result<()> {
    match (context, expected) {
        (None, None) => Ok(()),
        (Some(given), None) => Err(Error::shape("context", "none", &given.size())),
        (None, Some(event)) => Err(Error::Shape {
            what: "context".to_owned(),
            expected: describe(event),
            got: "none".to_owned(),
        }),
        (Some(given), Some(event)) => {
            let batch = batch_of("context", given, event)?;
            let rows = x.size().first().copied().unwrap_or_default();
            if batch != rows {
                return Err(Error::shape(
                    "context",
                    format!("{rows} rows, as x has"),
                    &given.size(),
                ));
            }
            alike("context", given, x)
        }
    }
}

/// Checks that every entry of `x` is finite.
///
/// # Errors
/// [`Error::NonFinite`] naming `what`.
pub fn finite(what: &str, x: &Tensor) -> Result<()> {
    let all = x.f_isfinite()?.f_all()?;
    if bool::try_from(&all)? { Ok(()) } else { Err(Error::NonFinite { what: what.to_owned() }) }
}

fn describe(event: &[i64]) -> String {
    let mut text = String::from("[B");
    for size in event {
        text.push_str(&format!(", {size}"));
    }
    text.push(']');
    text
}
