//! How BLEU cuts text into words.

/// How text is cut into words before n-grams are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BleuTokens {
    /// The rules of mteval-v13a, WMT's: punctuation apart, but not within numbers.
    #[default]
    V13a,
    /// Words between blanks, for text that is tokenized already.
    Blanks,
    /// Each character that is not blank.
    Characters,
}

impl BleuTokens {
    /// The words of a text.
    #[must_use]
    pub fn split(self, text: &str) -> Vec<String> {
        let text = text.trim_end_matches(is_blank);
        match self {
            Self::V13a => words(&punctuation_apart(text)).map(str::to_owned).collect(),
            Self::Blanks => words(text).map(str::to_owned).collect(),
            Self::Characters => text.chars().filter(|c| !is_blank(*c)).map(String::from).collect(),
        }
    }
}

/// Python's idea of a blank, which the peers have: Unicode's, and four control characters more.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// What stands between blanks.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_blank).filter(|word| !word.is_empty())
}

/// mteval-v13a: entities decoded, and blanks around punctuation.
fn punctuation_apart(text: &str) -> String {
    let text = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    let text = text.replace("&quot;", "\"").replace("&amp;", "&");
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    let mut spaced = String::from(" ");
    for c in text.chars() {
        if stands_apart(c) {
            spaced.extend([' ', c, ' ']);
        } else {
            spaced.push(c);
        }
    }
    spaced.push(' ');
    let digit = |c: char| c.is_ascii_digit();
    let mark = |c: char| c == '.' || c == ',';
    // A period or comma is apart unless a digit stands before it, or unless one stands after it; a
    // dash is apart after a digit.
    let spaced = each_pair(&spaced, |a, b| !digit(a) && mark(b), |a, b| [a, ' ', b, ' ']);
    let spaced = each_pair(&spaced, |a, b| mark(a) && !digit(b), |a, b| [' ', a, ' ', b]);
    each_pair(&spaced, |a, b| digit(a) && b == '-', |a, b| [a, ' ', b, ' '])
}

/// ASCII punctuation other than the apostrophe, comma, dash and period, and the blank.
fn stands_apart(c: char) -> bool {
    matches!(c, ' '..='&' | '('..='+' | '/' | ':'..='@' | '['..='`' | '{'..='~')
}

/// Replaces pairs of neighbours from left to right; what was replaced takes part in no further pair.
fn each_pair(
    text: &str,
    applies: impl Fn(char, char) -> bool,
    replace: impl Fn(char, char) -> [char; 4],
) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut rest = text.chars().peekable();
    while let Some(a) = rest.next() {
        match rest.next_if(|b| applies(a, *b)) {
            Some(b) => out.extend(replace(a, b)),
            None => out.push(a),
        }
    }
    out
}
