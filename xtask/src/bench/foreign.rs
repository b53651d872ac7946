//! Other programs that trace at the same time: then nothing here is untraced.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often it looks: a few milliseconds of work each time.
const PERIOD: Duration = Duration::from_millis(100);
/// `prog_type` of programs that trace, include/uapi/linux/bpf.h: kprobe, tracepoint, perf event, raw tracepoint (two),
/// tracing, LSM.
const PROGRAMS: [&str; 7] = ["2", "5", "7", "17", "24", "26", "29"];
/// `link_type` of their links, `bpf_link_type_strs` in kernel/bpf/syscall.c.
const LINKS: [&str; 5] = ["raw_tracepoint", "tracing", "perf_event", "kprobe_multi", "uprobe_multi"];

/// Looks for them all the time, in a thread of its own.
pub(crate) struct Watch {
    seen: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to look.
    pub(crate) fn start() -> Self {
        let (seen, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (see, stopped) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if another_traces() {
                    see.store(true, Ordering::Relaxed);
                }
                thread::sleep(PERIOD);
            }
        });
        Self { seen, stop, thread: Some(thread) }
    }

    /// Whether one was there since the last call.
    pub(crate) fn take(&self) -> bool {
        self.seen.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Whether a process holds a tracing program, or a link of one, and is neither this one nor a child of ours. Processes that go away
/// meanwhile hold none.
fn another_traces() -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    processes
        .filter(|process| process.join("fdinfo").exists())
        .any(|process| holds_tracing(&process) && !is_ours(&process))
}

fn holds_tracing(process: &Path) -> bool {
    let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    descriptors
        .filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy().contains(":bpf")))
        .any(|entry| {
            fs::read_to_string(process.join("fdinfo").join(entry.file_name())).is_ok_and(|info| is_tracing(&info))
        })
}

fn is_tracing(info: &str) -> bool {
    info.lines().filter_map(|line| line.split_once(':')).any(|(key, value)| match key {
        "prog_type" => PROGRAMS.contains(&value.trim()),
        "link_type" => LINKS.contains(&value.trim()),
        _ => false,
    })
}

fn is_ours(process: &Path) -> bool {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    let me = std::process::id().to_string();
    ["Pid:", "PPid:"]
        .iter()
        .any(|name| status.lines().find_map(|line| line.strip_prefix(name)).is_some_and(|value| value.trim() == me))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracing_programs_and_links_are_told_from_others() {
        assert!(is_tracing("pos:\t0\nprog_type:\t26\nprog_jited:\t1\n"));
        assert!(is_tracing("link_type:\ttracing\nlink_id:\t4\nattach_type:\t23\n"));
        // cgroup_device and cgroup: systemd has them.
        assert!(!is_tracing("prog_type:\t15\n") && !is_tracing("link_type:\tcgroup\n"));
        assert!(!is_tracing("map_type:\t2\n"));
    }
}
