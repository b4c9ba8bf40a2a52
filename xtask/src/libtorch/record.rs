//! A wheel's `RECORD`: the SHA-256 of each of its files.

use std::collections::HashMap;

/// The digests that a wheel's `RECORD` lists, by file name.
#[derive(Clone, Debug, Default)]
pub struct Record {
    digests: HashMap<String, String>,
}

impl Record {
    /// Reads the text of a `RECORD`: lines of `name,sha256=digest,size`, the digest in unpadded URL-safe
    /// base 64 (PEP 376, PEP 427). Lines without a digest (that of `RECORD` itself) are left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let entry = |line: &str| {
            let (rest, _size) = line.rsplit_once(',')?;
            let (name, digest) = rest.rsplit_once(',')?;
            let digest = digest.strip_prefix("sha256=")?;
            // Names with a comma are quoted.
            Some((name.trim_matches('"').to_owned(), digest.to_owned()))
        };
        Self { digests: text.lines().filter_map(entry).collect() }
    }

    /// Whether `name` is listed with `digest`.
    #[must_use]
    pub fn confirms(&self, name: &str, digest: &[u8]) -> bool {
        self.digests.get(name).is_some_and(|listed| *listed == base64url(digest))
    }
}

/// Unpadded URL-safe base 64 (RFC 4648, section 5).
fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .chain([0, 0].iter())
            .take(3)
            .fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        for place in 0..=chunk.len() {
            let six = group >> (18 - 6 * place) & 63;
            text.push(char::from(LETTERS[six as usize]));
        }
    }
    text
}

/// Lower-case hexadecimal, as `sha256sum` prints it.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_agrees_with_the_rfc() {
        // RFC 4648, section 10, padding left out.
        let cases = [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in cases {
            assert_eq!(base64url(plain.as_bytes()), coded);
        }
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn only_listed_digests_are_confirmed() {
        let record = Record::parse("a/b.so,sha256=Zm9v,3\n\"c,d.h\",sha256=Zg,1\nRECORD,,\n");
        assert!(record.confirms("a/b.so", b"foo"));
        assert!(record.confirms("c,d.h", b"f"));
        assert!(!record.confirms("a/b.so", b"fo"));
        assert!(!record.confirms("RECORD", b""));
    }
}
