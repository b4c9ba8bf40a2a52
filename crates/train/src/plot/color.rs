//! Colours.

/// Ten steps of viridis (van der Walt and Smith 2015, dedicated to the public domain): perceptually
/// uniform, and readable in grey and by the colour-blind.
pub const VIRIDIS: [[u8; 3]; 10] = [
    [0x44, 0x01, 0x54],
    [0x48, 0x28, 0x78],
    [0x3e, 0x49, 0x89],
    [0x31, 0x68, 0x8e],
    [0x26, 0x82, 0x8e],
    [0x1f, 0x9e, 0x89],
    [0x35, 0xb7, 0x79],
    [0x6e, 0xce, 0x58],
    [0xb5, 0xde, 0x2b],
    [0xfd, 0xe7, 0x25],
];

/// The colour of `t` in `[0, 1]` (clamped; the lowest colour for NaN), linear between the steps.
#[must_use]
pub fn viridis(t: f64) -> [u8; 3] {
    let t = if t.is_nan() { 0.0 } else { t.clamp(0.0, 1.0) } * (VIRIDIS.len() - 1) as f64;
    let low = (t.floor() as usize).min(VIRIDIS.len() - 2);
    let part = t - low as f64;
    std::array::from_fn(|i| {
        let (a, b) = (f64::from(VIRIDIS[low][i]), f64::from(VIRIDIS[low + 1][i]));
        (a + (b - a) * part).round() as u8
    })
}

/// Number of colours for series before they repeat.
pub(super) const SERIES: usize = 6;

/// The variables of a chart: what is written, what is drawn, and a colour for each series.
pub(super) const STYLE: &str = "\
.mlp{--paper:#fff;--ink:#1f2430;--soft:#667085;--grid:#e6e8ee;--frame:#c9ced8;\
--s0:#2f6fdb;--s1:#e2762f;--s2:#1f9d78;--s3:#a855c8;--s4:#d6455b;--s5:#78859b;\
font:12px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}\
@media(prefers-color-scheme:dark){.mlp{--paper:#171b24;--ink:#e8eaf0;--soft:#99a3b5;--grid:#2a303d;\
--frame:#434b5c;--s0:#79a6ff;--s1:#ff9d5c;--s2:#55d0a4;--s3:#cf98ee;--s4:#ff7d90;--s5:#a3aec0}}\
.mlp text{fill:var(--soft)}.mlp .ink{fill:var(--ink)}.mlp .title{font-weight:600;font-size:13px}";

/// The CSS colour of series `index`.
pub(super) fn series(index: usize) -> String {
    format!("var(--s{})", index % SERIES)
}
