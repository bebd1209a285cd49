//! Links the executable at a fixed address. The dynamic linker then has no relocations to apply, which is a third of the
//! time from exec to the first poll (ARCHITECTURE.md, "Building").

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
