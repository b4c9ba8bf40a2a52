//! Zip files (wheels and the official archive) into folders, every byte checked.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use zip::ZipArchive;

use super::record::Record;
use crate::progress::Bar;
use crate::shell;

/// A zip file being read.
#[derive(Debug)]
pub struct Zip {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
}

impl Zip {
    /// Opens `path`.
    ///
    /// # Errors
    /// When it cannot be read or is no zip file.
    pub fn open(path: &Path) -> Result<Self> {
        let file =
            File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
        let archive = ZipArchive::new(BufReader::new(file))
            .with_context(|| format!("{} is damaged", path.display()))?;
        Ok(Self { path: path.to_owned(), archive })
    }

    /// Name and version of a wheel (its file name goes on with tags), or the whole file name.
    fn title(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".whl") {
            name.split('-').take(2).collect::<Vec<_>>().join(" ")
        } else {
            name.into_owned()
        }
    }

    /// The names of all files inside.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let files = self.archive.file_names().filter(|name| !name.ends_with('/'));
        files.map(str::to_owned).collect()
    }

    /// The text of the one file whose name ends with `suffix`.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn text(&mut self, suffix: &str) -> Result<String> {
        let name = self.names().into_iter().find(|name| name.ends_with(suffix));
        let Some(name) = name else {
            bail!("{} has no {suffix}", self.path.display());
        };
        let mut text = String::new();
        self.archive
            .by_name(&name)?
            .read_to_string(&mut text)
            .with_context(|| format!("{name} in {} is damaged", self.path.display()))?;
        Ok(text)
    }

    /// Writes the files for which `place` names a path under `folder`, and returns how many.
    ///
    /// What is written agrees with the zip's checksums, and with `record` where one is given.
    ///
    /// # Errors
    /// When a file is damaged, or cannot be written.
    pub fn extract(
        &mut self,
        folder: &Path,
        record: Option<&Record>,
        place: impl Fn(&str) -> Option<PathBuf>,
    ) -> Result<usize> {
        let chosen: Vec<(String, PathBuf)> = self
            .names()
            .into_iter()
            .filter_map(|name| place(&name).map(|path| (name, path)))
            .collect();
        let mut total = 0;
        for (name, _) in &chosen {
            total += self.archive.by_name(name)?.size();
        }
        let bar = Bar::bytes(&format!("unpacking {}", self.title()), Some(total));
        for (name, path) in &chosen {
            if !path.components().all(|part| matches!(part, Component::Normal(_))) {
                bail!("{} holds the unsafe name {name}", self.path.display());
            }
            self.extract_one(name, &folder.join(path), record, &bar)
                .with_context(|| format!("{name} of {} was not unpacked", self.path.display()))?;
        }
        bar.finish();
        Ok(chosen.len())
    }

    fn extract_one(
        &mut self,
        name: &str,
        to: &Path,
        record: Option<&Record>,
        bar: &Bar,
    ) -> Result<()> {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut from = self.archive.by_name(name)?;
        let mut file = File::create(to)?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; 1 << 18];
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            file.write_all(&buffer[..read])?;
            digest.update(&buffer[..read]);
            bar.advance(read as u64);
        }
        if let Some(record) = record
            && !record.confirms(name, &digest.finalize())
        {
            bail!("its SHA-256 is not the one in the wheel's RECORD");
        }
        Ok(())
    }
}

/// Writes `folder`'s files through to the disk, so that a rename afterwards never shows half of them.
///
/// # Errors
/// When a file cannot be written through.
pub fn sync(folder: &Path) -> Result<()> {
    // `sync -f` writes one file system through: thousands of headers, one call.
    let whole = shell::output(Command::new("sync").arg("-f").arg(folder));
    if whole.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            sync(&path)?;
        } else if !path.is_symlink() {
            File::open(&path)?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// The SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// When it cannot be read.
pub fn sha256(path: &Path) -> Result<String> {
    let mut digest = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(super::record::hex(&digest.finalize()));
        }
        digest.update(&buffer[..read]);
    }
}
