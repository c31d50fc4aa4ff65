//! Links the add-on the way Node.js expects it on each platform, and so that it stays mapped.

use std::env;

fn main() {
    napi_build::setup();
    keep_mapped();
}

/// A worker thread that ends unloads the add-on, while thread-local destructors of the Rust standard library may still
/// point into it. The flag is said here and not in cargo's configuration, whose flags are lost as soon as `RUSTFLAGS` is
/// set. That `napi-build` says it, too, is nothing that it promises.
fn keep_mapped() {
    let is = |variable: &str, value: &str| env::var(variable).is_ok_and(|found| found == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        println!("cargo::rustc-link-arg-cdylib=-Wl,-z,nodelete");
    }
}
