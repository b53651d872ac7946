//! The `iotrace` command.
fn main() {}
