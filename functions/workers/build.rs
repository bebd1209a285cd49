//! Links the executable of tests and of the local stack at a fixed address, which halves the time of a start. On AWS it
//! stays position-independent, because it decodes what anybody uploads (ARCHITECTURE.md, "Building").

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("CARGO_CFG_TARGET_OS");
    if target.as_deref() == Ok("linux") && std::env::var("PROFILE").as_deref() == Ok("debug") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
