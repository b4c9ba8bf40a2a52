use maxlik_data::text::{
    Bytes, Characters, Pair, Tokenizer, divide, pack, pad, pairs, read, sonnets,
};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

#[test]
fn sonnets_are_the_ones_of_the_readme() {
    let text = sonnets().unwrap();
    let readme = include_str!("../assets/text/README.md");
    let sum: String = Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
    assert!(readme.contains(&sum), "{sum}");
    assert!(text.is_ascii() && text.contains("Shall I compare thee to a summer's day?"));
}

#[test]
fn documents_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let lines =
        write("b.jsonl", b"{\"text\": \"two\\nlines\", \"id\": 1}\n\n{\"text\": \"three\"}\n");
    write("a.txt", "für alle".as_bytes());
    write("c.bin", b"\xff");
    assert_eq!(read(folder.path(), "text").unwrap(), ["für alle", "two\nlines", "three"]);
    let says = |path: &std::path::Path, field: &str| read(path, field).unwrap_err().to_string();
    assert!(says(&lines, "body").ends_with("line 1: expected an object with a text `body`"));
    let broken = write("d.jsonl", b"{\"text\": \"a\"}\n{oops\n");
    assert!(says(&broken, "text").contains("line 2: expected JSON"));
    let bytes = write("e.txt", b"ab\xff");
    assert!(says(&bytes, "text").contains("another byte at offset 2"));
    assert!(says(&write("f.txt", b""), "text").contains("found none"));
    assert!(says(&folder.path().join("none.txt"), "text").contains("none.txt"));
}

#[test]
fn unknown_characters_and_tokens_are_named() {
    let tokenizer = Characters::of(&["ab".to_owned()]);
    assert_eq!(tokenizer.encode("ba").unwrap(), [2, 1]);
    let error = tokenizer.encode("a\t").unwrap_err().to_string();
    assert_eq!(error, "character: `\\t` is not known; known are `a`, `b`");
    assert!(tokenizer.decode(&[3]).unwrap_err().to_string().contains("below 3, got 3"));
    assert!(Bytes.decode(&[-1]).is_err() && Bytes.decode(&[257]).is_err());
    assert_eq!(Bytes.decode(&[0, 0x80, 1 + 0xc3]).unwrap(), "\n\u{7f}\u{fffd}");
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("(?s).{0,30}\n.{0,30}", 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn text_comes_back(documents in texts()) {
        let characters = Characters::of(&documents);
        let all: [&dyn Tokenizer; 2] = [&characters, &Bytes];
        for tokenizer in all {
            for document in &documents {
                let tokens = tokenizer.encode(document).unwrap();
                let range = 1..tokenizer.vocabulary() as i64;
                prop_assert!(tokens.iter().all(|t| range.contains(t)));
                prop_assert_eq!(&tokenizer.decode(&tokens).unwrap(), document);
            }
        }
    }

    /// Every token but the first boundary is predicted exactly once, in order.
    #[test]
    fn packing_predicts_each_token_once(
        documents in prop::collection::vec(prop::collection::vec(1_i64..9, 0..20), 1..6), length in 1_usize..12
    ) {
        let rows = pack(&documents, length, 0).unwrap();
        let mut expected = Vec::new();
        for document in &documents {
            expected.extend(document);
            expected.push(0);
        }
        let counted = rows.tokens.iter().zip(&rows.weight).filter(|(_, w)| **w > 0.0);
        let counted: Vec<i64> = counted.map(|(t, _)| *t).collect();
        prop_assert_eq!(counted, expected);
        for row in 1..rows.tokens.nrows() {
            prop_assert_eq!(rows.tokens[[row, 0]], rows.tokens[[row - 1, length]]);
        }
        prop_assert!(rows.weight.column(0).iter().all(|w| *w == 0.0));
    }

    /// Only targets count; of a pair that fits, nothing is lost.
    #[test]
    fn pairs_count_targets_only(
        source in prop::collection::vec(1_i64..9, 0..12), target in prop::collection::vec(1_i64..9, 0..12), length in 1_usize..30
    ) {
        let rows = pairs(&[Pair { source: source.clone(), target: target.clone() }], length, 0).unwrap();
        let counted = rows.tokens.iter().zip(&rows.weight).filter(|(_, w)| **w > 0.0);
        let counted: Vec<i64> = counted.map(|(t, _)| *t).collect();
        let mut ended = target.clone();
        ended.push(0);
        let fits = ended.len().min(length);
        prop_assert_eq!(&counted[..], &ended[..fits]);
        if source.len() + ended.len() < length + 1 {
            prop_assert_eq!(&rows.tokens.row(0).to_vec()[..source.len()], &source[..]);
            prop_assert_eq!(rows.tokens[[0, source.len()]], 0);
        }
        let alone = pad(std::slice::from_ref(&target), length, 0).unwrap();
        let counted: f32 = alone.weight.iter().sum();
        prop_assert_eq!(counted as usize, fits);
        prop_assert_eq!(alone.tokens[[0, 0]], 0);
    }

    /// Parts are the text, cut where lines begin.
    #[test]
    fn parts_are_the_text(documents in texts(), validation in 0.05_f64..0.4, test in 0.05_f64..0.4) {
        let Ok(parts) = divide(&documents, validation, test) else { return Ok(()) };
        let joined: String = [&parts.train, &parts.validation, &parts.test].into_iter().flatten().map(String::as_str).collect();
        prop_assert_eq!(joined, documents.concat());
        for part in [&parts.validation, &parts.test] {
            let before = part.first().unwrap();
            let starts = documents.iter().any(|d| d.starts_with(before.as_str()) || d.contains(&format!("\n{before}")));
            prop_assert!(starts, "{before:?}");
        }
    }
}

#[test]
fn a_long_text_is_divided_by_size() {
    let text = sonnets().unwrap();
    let parts = divide(std::slice::from_ref(&text), 0.1, 0.2).unwrap();
    let share =
        |part: &[String]| part.iter().map(String::len).sum::<usize>() as f64 / text.len() as f64;
    assert!((share(&parts.validation) - 0.1).abs() < 0.01);
    assert!((share(&parts.test) - 0.2).abs() < 0.01);
    assert!(divide(&[text], 0.5, 0.5).is_err());
    assert!(pack(&[], 4, 0).is_err() && pad(&[vec![1]], 0, 0).is_err());
}

#[cfg(feature = "bpe")]
mod bpe {
    use maxlik_data::text::{Bpe, Tokenizer, sonnets};

    #[test]
    fn byte_pairs_learn_write_and_read() {
        let text = sonnets().unwrap();
        let learned = Bpe::train(std::slice::from_ref(&text), 400).unwrap();
        assert_eq!(learned.vocabulary(), 400);
        let tokens = learned.encode(&text).unwrap();
        assert!(tokens.len() * 3 < text.len() * 2, "{} of {}", tokens.len(), text.len());
        assert_eq!(learned.decode(&tokens).unwrap(), text);
        // A text in another script still has tokens.
        let other = "Wörter, 言葉";
        assert_eq!(learned.decode(&learned.encode(other).unwrap()).unwrap(), other);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        learned.write(&path).unwrap();
        let again = Bpe::read(&path).unwrap();
        assert_eq!(again.encode(&text[..2000]).unwrap(), learned.encode(&text[..2000]).unwrap());
        assert!(Bpe::train(&[text], 100).is_err());
        std::fs::write(&path, "{}").unwrap();
        assert!(Bpe::read(&path).unwrap_err().to_string().contains("tokenizer.json"));
        assert!(again.decode(&[401]).is_err());
    }
}
