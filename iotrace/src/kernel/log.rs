//! Debug statements of the kernel programs, for developers: `--kernel-log`.

use crate::kernel::program::Loaded;
use anyhow::{Context, Result, anyhow};
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

/// Reader of the statements.
pub struct KernelLog(EbpfLogger<Stderr>);

impl KernelLog {
    /// Finds the ring buffer of statements by the first of these programs that has any.
    ///
    /// # Errors
    ///
    /// When none has, or the kernel does not let it be found: that takes CAP_SYS_ADMIN.
    pub fn new<'a>(programs: impl Iterator<Item = &'a Loaded>) -> Result<Self> {
        let mut result = Err(anyhow!("there are none"));
        for program in programs {
            let id = program.id().context("the kernel does not tell a program's number")?;
            result = EbpfLogger::init_from_id_with_logger(id, Stderr).map_err(Into::into);
            if result.is_ok() {
                break;
            }
        }
        result.map(Self).context("reading the statements of the kernel programs")
    }

    /// Prints what has come.
    pub fn flush(&mut self) {
        self.0.flush();
    }
}

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        eprintln!("kernel {}: {}", record.level().as_str().to_lowercase(), record.args());
    }

    fn flush(&self) {}
}
