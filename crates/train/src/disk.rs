//! Files that are complete or not there.

use maxlik_tensor::{Error, Result};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// An [`Error::Io`] about `path`.
pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

/// Writes `bytes` to a temporary file beside `path`, syncs it, and gives it the name `path`: a crash
/// at any moment leaves the old file or the new one.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = stage(path, bytes)?;
    fs::rename(&temporary, path).map_err(io(path))?;
    sync_folder(path)
}

/// The first half of [`write`]: a complete and synced file under a temporary name.
pub(crate) fn stage(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(io(parent))?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let temporary = path.with_file_name(name);
    let mut file = File::create(&temporary).map_err(io(&temporary))?;
    file.write_all(bytes).map_err(io(&temporary))?;
    file.sync_all().map_err(io(&temporary))?;
    Ok(temporary)
}

/// Makes a rename in the folder of `path` last.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let opened = File::open(folder).map_err(io(folder))?;
    opened.sync_all().map_err(io(folder))
}
