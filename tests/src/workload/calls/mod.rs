//! Every system call that counts, with every kind of descriptor, process and failure.

mod compat;
mod failures;
mod opens;
mod processes;
mod reads;
mod syncs;
mod two_sided;
mod writes;

pub use processes::{exec_child, run_exec_children};

use super::{Args, rec::Rec};

/// The scenario. Children that run another program come later: what their loader reads is not in the log.
pub fn run(rec: &mut Rec, args: &Args) {
    let dir = &args.dir;
    reads::run(rec, dir);
    writes::run(rec, dir);
    two_sided::run(rec, dir);
    syncs::run(rec, args);
    opens::run(rec, dir);
    failures::run(rec, dir);
    if let Some(full) = &args.full {
        failures::fill(rec, full);
    }
    processes::run(rec, dir);
    compat::run(rec, dir);
}
