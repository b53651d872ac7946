//! `cargo xtask`: all automation of this workspace.
fn main() {}
