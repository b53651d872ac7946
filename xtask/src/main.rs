//! `cargo xtask`: all automation of this workspace.

mod ebpf;
mod lint;
mod packages;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Builds, checks and tests iotrace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// One variant, and one module, per command.
#[derive(Subcommand)]
enum Command {
    Ebpf(ebpf::Args),
    Lint(lint::Args),
    Test(test::Args),
}

fn main() -> ExitCode {
    if let Some(status) = ebpf::wrapper::run_if_asked() {
        return status;
    }
    let cli = Cli::parse();
    let result = Workspace::locate().and_then(|workspace| match cli.command {
        Command::Ebpf(args) => ebpf::run(&workspace, &args),
        Command::Lint(args) => lint::run(&workspace, &args),
        Command::Test(args) => test::run(&workspace, &args),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
