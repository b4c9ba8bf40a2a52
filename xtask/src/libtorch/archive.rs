//! The official archive of LibTorch for the CPU.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::python::Python;
use super::unpack::Zip;
use super::watch::watch;
use crate::progress::Bar;
use crate::shell;

/// Where PyTorch publishes it.
const URL: &str =
    "https://download.pytorch.org/libtorch/cpu/libtorch-shared-with-deps-2.13.0%2Bcpu.zip";

/// Names another place with the same archive: a mirror, or `file:///…`.
const VARIABLE: &str = "MAXLIK_LIBTORCH_ARCHIVE";

/// Where nothing answers for this long, the archive counts as out of reach.
const PATIENCE: Duration = Duration::from_secs(8);

/// Downloads `argv[1]` to `argv[2]`, going on where an earlier try stopped; prints the length.
const DOWNLOAD: &str = "\
import os, sys, urllib.error, urllib.request
url, path = sys.argv[1:]
problem = 'incomplete'
for attempt in range(5):
    have = os.path.getsize(path) if os.path.exists(path) else 0
    request = urllib.request.Request(url)
    if have:
        request.add_header('Range', f'bytes={have}-')
    try:
        with urllib.request.urlopen(request, timeout=8) as answer:
            resumed = answer.status == 206
            total = int(answer.headers['Content-Length']) + (have if resumed else 0)
            print(total, flush=True)
            with open(path, 'ab' if resumed else 'wb') as file:
                while block := answer.read(1 << 20):
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
        if os.path.getsize(path) == total:
            sys.exit(0)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            sys.exit(str(error))
        os.remove(path)
    except OSError as error:
        problem = str(getattr(error, 'reason', error))
        if not os.path.exists(path) or os.path.getsize(path) == have:
            break
sys.exit(problem)";

/// The archive's address: the official one unless the user names another.
#[must_use]
pub fn address() -> String {
    env::var(VARIABLE).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| URL.to_owned())
}

/// Downloads the archive at `url` into `downloads` and returns its path. A finished download is taken as it
/// is; an unfinished one, called `….part`, is continued.
///
/// # Errors
/// When it is out of reach.
pub fn fetch(python: &Python, url: &str, downloads: &Path) -> Result<PathBuf> {
    let path = downloads.join("libtorch-cpu.zip");
    if path.is_file() {
        return Ok(path);
    }
    fs::create_dir_all(downloads)?;
    let part = downloads.join("libtorch-cpu.zip.part");
    let bar = Bar::bytes("downloading LibTorch's official archive", None);
    let mut command = python.command();
    command.args(["-c", DOWNLOAD, url]).arg(&part);
    let ended = watch(
        &mut command,
        Some(PATIENCE),
        |line| {
            if let Ok(total) = line.parse() {
                bar.set_total(total);
            }
        },
        || bar.set(fs::metadata(&part).map_or(0, |data| data.len())),
    );
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => {
            bar.abandon();
            return Err(error);
        }
    };
    if !ended.status.success() {
        bar.abandon();
        bail!("{}", shell::last_line(&ended.complaint));
    }
    bar.finish();
    fs::rename(&part, &path)?;
    Ok(path)
}

/// Unpacks what a build needs of the archive into `folder`: headers, shared libraries, the version.
///
/// # Errors
/// When the archive is damaged.
pub fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    let mut zip = Zip::open(archive)?;
    let count = zip.extract(folder, None, |name| {
        let inside = name.strip_prefix("libtorch/")?;
        let wanted = inside == "build-version"
            || inside.starts_with("include/")
            || (inside.starts_with("lib/") && inside.contains(".so"));
        wanted.then(|| PathBuf::from(inside))
    })?;
    (count > 0).then_some(()).with_context(|| format!("{} holds no LibTorch", archive.display()))
}
