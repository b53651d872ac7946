//! The matrix that `cargo xtask test` runs: all kernels and mechanisms, and of the tests those that compare with the truth.

use std::time::Duration;

use anyhow::Result;

use super::arch::Arch;
use super::kernels::{self, Kernel};
use super::suite::Tests;
use super::{Job, TEST, machines, mechanisms, peers, report, require_packages, require_success};
use crate::workspace::Workspace;

/// Left out, as CI has to end in time: groups of tests about the command line, the process, loss and file systems, for which the
/// native run is enough; and tests of how rows are shown or of what others here show in another way, which take long where all is
/// emulated. Without `--quick` they run here too.
const EXCEPT: &[&str] = &[
    "bad_input",
    "block_programs",
    "bounds",
    "container_names",
    "containers",
    "copies",
    "diagnose",
    "disk",
    "evidence",
    "filters",
    "host_paths",
    "loss",
    "overlay",
    "paths",
    "pipes",
    "podman",
    "program",
    "refused",
    "scenarios",
    "signals",
    "terminal",
    "truth",
    "a_clone_has_a_size_and_no_bytes",
    "a_closed_pipe_is_no_failure",
    "a_copy_up_that_fails_shows_its_error_or_nothing",
    "a_mirror_stands_on_its_disks_and_each_write_is_on_both",
    "a_name_picks_who_wrote_and_not_who_has_it_written",
    "a_program_has_the_requests_that_it_causes",
    "a_program_that_ends_before_the_last_of_a_count_of_tables_is_counted_to_its_end",
    "a_read_that_a_signal_ends_is_a_failed_read",
    "an_open_tells_that_it_waited_for_a_copy_up",
    "by_process_file_and_directory_regroup_the_same_sums",
    "capabilities_of_the_file_leave_program_its_environment",
    "direct_requests_lead_to_the_program",
    "discards_and_flushes_are_those_of_the_disks_statistics",
    "each_call_is_one_event",
    "each_line_with_an_fsync_shows_as_such",
    "each_mechanism_is_tried_and_a_refusal_has_a_reason",
    "each_request_that_was_taken_is_one_event",
    "events_has_every_event",
    "events_of_faults_are_the_pages_that_came_in_or_became_dirty",
    "every_line_fits_the_schema",
    "every_row_is_equal_to_the_log_on_a_disk",
    "files_that_are_not_copied_up_do_not_show",
    "filters_are_about_who_is_charged",
    "filters_of_processes_know_who_asked",
    "fsync_has_every_row",
    "hidden_processes_take_cap_sys_ptrace_which_then_stays",
    "in_memory_the_bytes_are_not_known",
    "it_exits_0_where_the_main_job_runs",
    "it_fails_without_the_right_to_trace_and_says_what_to_do",
    "it_leaves_nothing_attached",
    "json_has_all_rows_unless_it_is_asked_for_less",
    "many_files_of_a_thread_are_one_row",
    "offsets_are_where_the_bytes_went",
    "program_has_all_that_the_user_had",
    "ratios_and_times_fit_the_counts",
    "requests_of_threads_that_share_a_ring_are_told_apart",
    "rows_limits_the_rows",
    "rows_of_a_thread_have_its_name",
    "rows_of_processes_are_the_sums_of_the_files_that_they_synced",
    "sort_keys_order_the_rows",
    "summary_adds_up_by_process_and_file",
    "summary_counts_the_lines",
    "sums_are_the_disks_statistics_whatever_they_are_of",
    "tables_at_intervals_tell_each_end_once",
    "the_mechanism_that_it_names_is_used",
    "the_table_ends_with_the_whole_path",
    "the_table_fits_and_unknown_is_told",
    "type_comes_first_and_times_do_not_run_backwards_within_a_thread",
    "what_a_broken_chain_cancels_has_failed",
    "while_program_runs_no_thread_keeps_anything",
];

/// Groups that run with each mechanism: every way of every call. The others run with the first that is possible, which is the
/// one that iotrace chooses.
const EACH: &[&str] = &["top"];

/// Tests of those groups that run with the first mechanism only: how sums that are there are shown, whatever they came by.
const FIRST: &[&str] = &[
    "by_disk_sums_a_whole_disk",
    "by_thread_tells_threads_apart",
    "device_disk_file_system_and_inode_are_the_files_own",
    "intervals_add_up_to_the_whole",
    "rows_name_the_thread_and_process",
    "without_all_only_regular_files_and_syncs_of_everything_are_shown",
];

/// The kernel on which it is compared with peers.
const WITH_PEERS: &str = "6.12";

/// Machines side by side: one for each processor of the smallest machine that runs this.
const MACHINES: usize = 2;

/// No machine takes longer: all together have to fit into what CI gives.
const LIMIT: Duration = Duration::from_secs(25 * 60);

/// The kernels, fetched.
pub(crate) struct Matrix {
    kernels: Vec<Kernel>,
}

/// Gets all that the machines need from elsewhere. The error is the reason why there are none.
pub(crate) fn prepare(workspace: &Workspace) -> Result<Matrix> {
    require_packages(workspace, Arch::Amd64)?;
    // Without peers: a busy machine may make them lose events, which their tests would take for a difference.
    Ok(Matrix { kernels: kernels::fetch(workspace, Arch::Amd64, &[], false)? })
}

/// Gives one of the kernels the disk with the peers.
pub(super) fn add_peers(workspace: &Workspace, kernels: &mut [Kernel]) -> Result<()> {
    let is_wanted =
        |kernel: &&mut Kernel| kernel.name.strip_prefix(WITH_PEERS).is_some_and(|rest| rest.starts_with('.'));
    peers::add(workspace, Arch::Amd64, false, kernels.iter_mut().filter(is_wanted))
}

impl Matrix {
    /// Runs the machines; an error if a test failed in one of them.
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        let runs = machines(workspace, &self.kernels, &job(), Tests::OfWorkspace)?;
        print!("{}", report::text(&runs));
        require_success(&runs)
    }
}

/// What each of its machines does.
pub(super) fn job() -> Job {
    Job {
        mode: TEST,
        mechanisms: mechanisms(),
        except: EXCEPT,
        each: EACH,
        first: FIRST,
        machines: MACHINES,
        limit: LIMIT,
        ..Job::default()
    }
}
