//! The `iotrace` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    iotrace::cli::main(std::env::args_os())
}
