//! The command line: one file per command, and what they share.

pub mod block;
pub mod block_lines;
pub mod command;
pub mod copyup;
pub mod copyup_lines;
pub mod diagnose;
pub mod disk;
pub mod doctor;
pub mod events;
pub mod exit;
pub mod form;
pub mod fsync;
pub mod host;
pub mod io_lines;
pub mod latency;
pub mod life;
pub mod life_lines;
pub mod lines;
pub mod naming_lines;
pub mod open;
pub mod options;
pub mod program;
pub mod progress;
pub mod run;
pub mod signals;
pub mod summary;
pub mod tables;
pub mod top;
pub mod wait;
pub mod wait_lines;

use clap::{Parser, Subcommand};
pub use exit::{Exit, Misused};
use std::{ffi::OsString, process::ExitCode};

/// Who does which I/O to which file, in which container, on which disk, and what it waits for.
#[derive(Debug, Parser)]
#[command(name = "iotrace", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Top(top::Args),
    Fsync(fsync::Args),
    Open(open::Args),
    Latency(latency::Args),
    Disk(disk::Args),
    Block(block::Args),
    #[command(name = "copyup")]
    CopyUp(copyup::Args),
    Life(life::Args),
    Events(events::Args),
    Wait(wait::Args),
    Diagnose(diagnose::Args),
    Doctor(doctor::Args),
}

/// Runs the command that the arguments ask for, and says how it ended. Errors go to stderr in one line.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; a closed pipe does not matter here.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    let result = match cli.command {
        Command::Top(args) => args.run(),
        Command::Fsync(args) => args.run(),
        Command::Open(args) => args.run(),
        Command::Latency(args) => args.run(),
        Command::Disk(args) => args.run(),
        Command::Block(args) => args.run(),
        Command::CopyUp(args) => args.run(),
        Command::Life(args) => args.run(),
        Command::Events(args) => args.run(),
        Command::Wait(args) => args.run(),
        Command::Diagnose(args) => args.run(),
        Command::Doctor(args) => args.run(),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("iotrace: {error:#}");
            if error.is::<Misused>() { Exit::Usage } else { Exit::Failed }.into()
        }
    }
}
