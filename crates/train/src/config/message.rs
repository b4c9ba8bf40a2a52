//! Serde's messages taken apart, and its type names put into words.

/// Name and known names of ``unknown field `a`, expected one of `b`, `c` ``.
pub(super) fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    unknown(message, "unknown field `")
}

/// Name and known names of ``unknown variant `a`, expected `b` or `c` ``.
pub(super) fn unknown_variant(message: &str) -> Option<(&str, Vec<&str>)> {
    unknown(message, "unknown variant `")
}

/// The name in ``missing field `a` ``.
pub(super) fn missing(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.split('`').next()
}

/// Got and expected of `invalid type: a, expected b` (or `invalid value`, `invalid length`).
pub(super) fn invalid(message: &str) -> Option<(String, String)> {
    let (got, expected) = message.rsplit_once(", expected ")?;
    let expected = expected_in_words(expected);
    if let Some(length) = length(message) {
        return Some((format!("a list of {length}"), expected));
    }
    let got = got.strip_prefix("invalid type: ").or_else(|| got.strip_prefix("invalid value: "))?;
    Some((got_in_words(got), expected))
}

/// The length in `invalid length a, expected b`.
pub(super) fn length(message: &str) -> Option<usize> {
    message.strip_prefix("invalid length ")?.split(',').next()?.parse().ok()
}

/// What a complaint dislikes: the text or digits of a scalar, `sequence` or `map`; the variant's name
/// where it is unknown.
pub(super) fn got(message: &str) -> Option<&str> {
    if let Some((name, _)) = unknown_variant(message) {
        return Some(name);
    }
    let rest = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix))?;
    let (got, _) = rest.rsplit_once(", expected ")?;
    let quoted = |quote: char| Some(got.split_once(quote)?.1.strip_suffix(quote).unwrap_or(got));
    Some(if got.starts_with("string ") {
        quoted('"').unwrap_or(got)
    } else {
        quoted('`').unwrap_or(got)
    })
}

fn unknown<'a>(message: &'a str, prefix: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let (name, rest) = message.strip_prefix(prefix)?.split_once('`')?;
    // The names stand between back-ticks: every second piece.
    Some((name, rest.split('`').skip(1).step_by(2).collect()))
}

fn got_in_words(got: &str) -> String {
    match got {
        "map" => "a table".to_owned(),
        "sequence" => "a list".to_owned(),
        other => other.replace('`', "").replace("floating point", "number"),
    }
}

fn expected_in_words(expected: &str) -> String {
    if let Some(length) = expected.strip_prefix("an array of length ") {
        return format!("a list of {length}");
    }
    let word = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "an integer of at least 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "an integer",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "a table",
        "string" => "a string",
        "a boolean" => "true or false",
        other if other.starts_with("struct ") => "a table",
        other if other.starts_with("internally tagged enum ") => "a table with the key kind",
        other if other.starts_with("adjacently tagged enum ") => "a table with the key kind",
        other if other.starts_with("enum ") => "a string",
        other if other.starts_with("tuple ") => "a list",
        other => other,
    };
    word.to_owned()
}
