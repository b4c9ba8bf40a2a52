//! Build script shared (by symbolic link) by every crate that makes executables on LibTorch.
//!
//! Tests, doctests, benches and binaries find LibTorch's libraries at run time by the run path written
//! here, so that none needs `LD_LIBRARY_PATH`. The folder comes from maxlik-tensor's build script as
//! `links` metadata, which Cargo hands to direct dependents only.
//! The path stays as it was named (`.libtorch/cpu/lib`): a link there may be pointed elsewhere without a rebuild.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=MAXLIK_CUDA");
    // Absent where maxlik-tensor is an optional dependency that is switched off.
    let Ok(lib) = env::var("DEP_MAXLIK_TENSOR_LIB") else {
        return;
    };
    println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    // No symbol of libtorch_cuda is named by our code: it registers its kernels when loaded,
    // so the linker would drop it as unneeded.
    if env::var_os("MAXLIK_CUDA").is_some() {
        println!("cargo::rustc-link-arg=-Wl,--no-as-needed,{lib}/libtorch_cuda.so");
    }
}
