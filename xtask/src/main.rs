//! `cargo xtask`: all automation of this workspace.

mod bench;
mod ebpf;
mod lint;
mod packages;
mod test;
mod vm;
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
    Bench(bench::Args),
    Ebpf(ebpf::Args),
    Lint(lint::Args),
    Test(test::Args),
    Vm(vm::Args),
}

fn main() -> ExitCode {
    if let Some(status) = ebpf::wrapper::run_if_asked() {
        return status;
    }
    let cli = Cli::parse();
    let result = Workspace::locate().and_then(|workspace| match cli.command {
        Command::Bench(args) => bench::run(&workspace, &args),
        Command::Ebpf(args) => ebpf::run(&workspace, &args),
        Command::Lint(args) => lint::run(&workspace, &args),
        Command::Test(args) => test::run(&workspace, &args),
        Command::Vm(args) => vm::run(&workspace, &args),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
