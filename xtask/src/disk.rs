//! Free space.

use std::path::Path;
use std::process::Command;

use crate::shell;

/// The bytes free for this user on the disk of `path`, if `df` tells.
#[must_use]
pub fn free(path: &Path) -> Option<u64> {
    let output = shell::output(Command::new("df").arg("-Pk").arg(path)).ok()?;
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// The column "Available" of POSIX `df -Pk`, in bytes.
fn parse(text: &str) -> Option<u64> {
    let line = text.lines().nth(1)?;
    let kibibytes: u64 = line.split_whitespace().nth(3)?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_available_column_is_read() {
        let text =
            "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/x 100 40 60 40% /\n";
        assert_eq!(parse(text), Some(60 * 1024));
        assert_eq!(parse(""), None);
    }
}
