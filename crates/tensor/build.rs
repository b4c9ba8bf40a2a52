//! Compiles the C++ side of the custom autograd ops against the LibTorch that torch-sys found.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=cpp/autograd.cpp");
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    println!("cargo::rerun-if-env-changed=MAXLIK_CUDA");
    let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") else {
        println!("cargo::error=torch-sys did not say where LibTorch is: run `cargo xtask setup`");
        return;
    };
    // Absolute but not resolved, so that a link can be pointed elsewhere without a new build.
    let lib = std::path::absolute(&lib).unwrap_or_else(|_| lib.into());
    let include = lib.parent().unwrap_or(Path::new(".")).join("include");
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        .pic(true)
        .warnings(false)
        .opt_level(1)
        .debug(false)
        .flag("-fopenmp")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .file("cpp/autograd.cpp")
        .compile("maxlik_autograd");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    if std::env::var_os("MAXLIK_CUDA").is_some() {
        // Nothing refers to libtorch_cuda by name, and it registers itself only when it is loaded.
        println!("cargo::rustc-link-arg=-Wl,--no-as-needed,{}/libtorch_cuda.so", lib.display());
    }
    // The other crates of the workspace read this to give their executables the same rpath.
    println!("cargo::metadata=lib={}", lib.display());
}
