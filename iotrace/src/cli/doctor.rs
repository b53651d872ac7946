//! `iotrace doctor`: what this kernel and this user allow.

use crate::cli::Exit;
use anyhow::Result;

/// What this kernel and this user allow, which mechanism is used, what is missing and why
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Looks and prints.
    ///
    /// # Errors
    ///
    /// When the output cannot be written.
    pub fn run(self) -> Result<Exit> {
        let _ = self.json;
        Ok(Exit::Done)
    }
}
