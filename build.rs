//! Link settings of the module.

fn main() {
    // The library stays mapped after MODULE UNLOAD: a thread of the HTTP client or the resolver
    // that ends a moment later still finds its code.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rerun-if-changed=build.rs");
}
