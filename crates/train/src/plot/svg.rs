//! SVG text.

use super::color::STYLE;
use std::fmt::Write as _;

/// An SVG under construction; lengths are in pixels.
#[derive(Debug)]
pub(super) struct Svg {
    width: f64,
    height: f64,
    label: String,
    body: String,
}

/// Which end of a text its position is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    /// An empty picture; `label` is read to those who cannot see it.
    pub(super) fn new(width: f64, height: f64, label: &str) -> Self {
        Self { width, height, label: escape(label), body: String::new() }
    }

    /// Adds an element as it is.
    pub(super) fn raw(&mut self, element: &str) {
        self.body.push_str(element);
    }

    /// A straight line of the CSS colour `stroke`.
    pub(super) fn line(&mut self, from: [f64; 2], to: [f64; 2], stroke: &str, width: f64) {
        let ([x1, y1], [x2, y2]) = (from.map(short), to.map(short));
        let _infallible = write!(
            self.body,
            "<line x1='{x1}' y1='{y1}' x2='{x2}' y2='{y2}' style='stroke:{stroke}' \
             stroke-width='{width}'/>"
        );
    }

    /// A text of the class `class` (``, `ink` or `ink title`) whose baseline begins, is centred or
    /// ends at `at`.
    pub(super) fn text(&mut self, at: [f64; 2], anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let ([x, y], text) = (at.map(short), escape(text));
        let _infallible = write!(
            self.body,
            "<text x='{x}' y='{y}' text-anchor='{anchor}' class='{class}'>{text}</text>"
        );
    }

    /// A text read from below, centred at `at`.
    pub(super) fn upward(&mut self, at: [f64; 2], text: &str) {
        let ([x, y], text) = (at.map(short), escape(text));
        let _infallible = write!(
            self.body,
            "<text transform='translate({x} {y}) rotate(-90)' text-anchor='middle'>{text}</text>"
        );
    }

    /// The finished picture on its paper.
    pub(super) fn finish(self) -> String {
        let Self { width, height, label, body } = self;
        let (w, h) = (short(width), short(height));
        format!(
            "<svg xmlns='http://www.w3.org/2000/svg' class='mlp' viewBox='0 0 {w} {h}' width='{w}' \
             height='{h}' role='img' aria-label='{label}'><style>{STYLE}</style>\
             <rect width='100%' height='100%' style='fill:var(--paper)'/>{body}</svg>"
        )
    }
}

/// At most two decimals: finer than any screen.
pub(super) fn short(x: f64) -> String {
    let text = format!("{x:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Text for content and attributes of XML.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Width of a text of the charts' size, in pixels, near enough to leave room for it.
pub(super) fn width_of(text: &str) -> f64 {
    6.8 * text.chars().count() as f64
}
