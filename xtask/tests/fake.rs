//! A fake LibTorch, a fake Python in front of the real one, and workspaces to use them in.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;
use xtask::workspace::Workspace;
use zip::write::SimpleFileOptions;

/// A real, tiny shared library that holds the mark of the C++11 ABI; compiled once.
pub(crate) fn library() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| compile("extern \"C\" const char *mark() { return \"__cxx11\"; }", &[]))
}

/// A shared library of `source`, linked with `arguments`.
pub(crate) fn compile(source: &str, arguments: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (code, library) = (folder.path().join("a.cpp"), folder.path().join("a.so"));
    fs::write(&code, source).unwrap();
    let mut command = Command::new("c++");
    command.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&code).args(arguments);
    assert!(command.status().unwrap().success());
    fs::read(&library).unwrap()
}

/// The files of a sound LibTorch, by name.
pub(crate) fn files(version: &str) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("include/torch/csrc/api/include/torch/torch.h", Vec::new()),
        ("include/ATen/ATen.h", Vec::new()),
        ("include/c10/core/Device.h", Vec::new()),
        ("lib/libc10.so", library().to_vec()),
        ("lib/libtorch_cpu.so", library().to_vec()),
        ("lib/libtorch.so", b"INPUT(-ltorch_cpu)\n".to_vec()),
        ("build-version", version.as_bytes().to_vec()),
    ]
}

/// Writes a LibTorch of `version` at `root`.
pub(crate) fn libtorch(root: &Path, version: &str) {
    for (name, bytes) in files(version) {
        write(&root.join(name), &bytes);
    }
}

/// Writes a file, its folders included.
pub(crate) fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Writes a program.
pub(crate) fn program(path: &Path, text: &str) {
    write(path, text.as_bytes());
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A zip file of `files`.
pub(crate) fn zip(path: &Path, files: &[(String, Vec<u8>)]) {
    let mut writer = zip::ZipWriter::new(File::create(path).unwrap());
    for (name, bytes) in files {
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap();
}

/// A workspace's folder, and programs that come first in `PATH`.
#[derive(Debug)]
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    /// An empty workspace on a machine whose Python has no torch.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder };
        fs::create_dir_all(place.path("root/xtask")).unwrap();
        let find = Command::new("sh").args(["-c", "command -v python3"]).output().unwrap();
        let real = String::from_utf8(find.stdout).unwrap();
        let text = format!(
            "#!/bin/sh\ncase \"$*\" in\n*find_spec*) echo \"$FAKE_TORCH\" ;;\n*) exec {} \"$@\" ;;\nesac\n",
            real.trim()
        );
        program(&place.path("bin/python3"), &text);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn workspace(&self) -> Workspace {
        Workspace::at(&self.path("root"))
    }

    /// The official archive of `version`, as this place's machine reaches it.
    pub(crate) fn archive(&self, version: &str) -> PathBuf {
        let path = self.path("archive.zip");
        let name = |(name, bytes): (&str, Vec<u8>)| (format!("libtorch/{name}"), bytes);
        let files: Vec<_> = files(version).into_iter().map(name).collect();
        zip(&path, &files);
        path
    }

    /// `xtask` with these arguments, at home in this workspace.
    pub(crate) fn xtask(&self, arguments: &[&str]) -> Command {
        let search = std::env::var("PATH").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(arguments)
            .env("CARGO_MANIFEST_DIR", self.path("root/xtask"))
            .env("PATH", format!("{}:{search}", self.path("bin").display()))
            .env(
                "MAXLIK_LIBTORCH_ARCHIVE",
                format!("file://{}", self.path("archive.zip").display()),
            )
            // No test may download: pip finds nothing.
            .env("PIP_NO_INDEX", "1")
            .env_remove("PIP_FIND_LINKS")
            .env_remove("LIBTORCH")
            .env_remove("VIRTUAL_ENV")
            .env_remove("FAKE_TORCH");
        command
    }
}

/// Standard output and error of a program that ended, together.
pub(crate) fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(text).unwrap()
}
